// A back end that says who it is and what reached it, in a thread of its own. Node takes one new connection at each turn of
// its event loop: in the thread that also steers a browser, the last of 64 connections that Envoy opened at once, with a
// request on each, waited more than 20 s to be taken on a busy machine, while the others were answered.
import { once } from "node:events";
import { createServer } from "node:http";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

export async function echo(name) {
  const thread = new Worker(new URL(import.meta.url), { workerData: name });
  const [port] = await once(thread, "message");
  return { name, port, close: () => thread.terminate() };
}

if (!isMainThread) {
  const server = createServer((incoming, answer) => {
    incoming.resume();
    incoming.on("end", () => {
      answer.setHeader("content-type", "application/json");
      const { method, url: path, headers } = incoming;
      answer.end(JSON.stringify({ service: workerData, method, path, headers }));
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
}
