"""Real HTTP back ends: each says its own address in the answer, and each can die and live again by itself."""

from __future__ import annotations

import asyncio

from bed import Instance, Loop

# How many requests an answer that is late (a slow back end) would hold is not this bed's business: all answer at once.
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s"


class Backends:
    def __init__(self) -> None:
        self._loop = Loop()
        self._servers: dict[str, asyncio.Server] = {}
        self._open: dict[str, set[asyncio.StreamWriter]] = {}

    def start(self, *instances: Instance) -> None:
        self._loop.run(self._start(sorted({one.key for one in instances})))

    def kill(self, *instances: Instance) -> None:
        """As kill -9 of the application: connections are reset, new ones refused."""
        self._loop.run(self._kill(sorted({one.key for one in instances})))

    def close(self) -> None:
        self._loop.run(self._kill(list(self._servers)))

    def living(self) -> set[str]:
        return set(self._servers)

    async def _start(self, keys: list[str]) -> None:
        for key in keys:
            if key in self._servers:
                continue
            host, _, port = key.rpartition(":")
            self._open[key] = set()
            serve = _answering(key, self._open[key])
            self._servers[key] = await asyncio.start_server(serve, host, int(port), backlog=256)

    async def _kill(self, keys: list[str]) -> None:
        for key in keys:
            server = self._servers.pop(key, None)
            if server is not None:
                server.close()
                for writer in list(self._open.pop(key)):
                    writer.transport.abort()


def _answering(key: str, all_: set[asyncio.StreamWriter]):  # noqa: ANN202
    answer = ANSWER % (len(key), key.encode())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        all_.add(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            all_.discard(writer)
            writer.close()

    return serve
