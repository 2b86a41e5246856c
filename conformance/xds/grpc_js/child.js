// As grpc_child.py, with grpc-js and its xDS client: one call for each line that it reads.
'use strict';

const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
const xds = require('@grpc/grpc-js-xds');

xds.register();
const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const raw = (bytes) => bytes;

readline.createInterface({ input: process.stdin }).on('line', () => {
  const options = { deadline: Date.now() + 5000 };
  client.makeUnaryRequest('/judge.Echo/Say', raw, raw, Buffer.alloc(0), new grpc.Metadata(), options, (error, answer) => {
    console.log(error ? `error ${error.code} ${error.details}`.replaceAll('\n', ' ') : `ok ${answer.toString()}`);
  });
}).on('close', () => process.exit(0));
