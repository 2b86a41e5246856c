"""Many clients at once, in one thread: each asks for everything of CDS and counts as served at its first answer."""

from __future__ import annotations

import asyncio
import threading

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from case import node
from stream import CHANNEL_OPTIONS
from wire import ADS_METHOD, CDS, Form


class Storm:
    """`per_connection`: how many streams share a connection."""

    def __init__(
        self, address: str, form: Form, count: int, per_connection: int = 1, path: str = "", kind: str = CDS.url
    ) -> None:
        self.served = 0
        # The first error that any of them saw.
        self.trouble = ""
        self._address, self._form, self._count, self._per_connection = address, form, count, per_connection
        self._path = path or ADS_METHOD[form]
        self._url = kind
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self._channels: list[grpc.aio.Channel] = []

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(60)

    def close(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(60)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    async def _open(self) -> None:
        for number in range(self._count):
            if number % self._per_connection == 0:
                self._channels.append(grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS))
            self._tasks.append(asyncio.create_task(self._one(self._channels[-1], number)))

    async def _one(self, channel: grpc.aio.Channel, number: int) -> None:
        sotw = self._form is Form.SOTW
        request = discovery_pb2.DiscoveryRequest if sotw else discovery_pb2.DeltaDiscoveryRequest
        response = discovery_pb2.DiscoveryResponse if sotw else discovery_pb2.DeltaDiscoveryResponse
        method = channel.stream_stream(
            self._path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            call = method()
            await call.write(request(node=node(f"storm-{number}"), type_url=self._url))
            got = await call.read()
            if got is grpc.aio.EOF:
                self.trouble = self.trouble or f"stream {number} ended without an answer"
                return
            self.served += 1
            answer = request(type_url=self._url, response_nonce=got.nonce)
            if sotw:
                answer.version_info = got.version_info
            await call.write(answer)
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.RpcError as error:
            self.trouble = self.trouble or f"stream {number}: {error.code().name} {error.details()}"

    async def _shut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels), return_exceptions=True)
