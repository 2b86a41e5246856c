"""Steady requests through Envoy: when each was sent, what came back, and which back end answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass

from bed import Failure, Loop

LIMIT = 5.0


@dataclass(frozen=True)
class Answer:
    """Times are of the monotonic clock. `status` 0: no answer at all; `by` is the back end's `ip:port`."""

    sent: float
    took: float
    status: int
    by: str

    @property
    def good(self) -> bool:
        return self.status == 200


class Connection:
    """HTTP/1.1, one request at a time, opened again when it broke."""

    def __init__(self, port: int, host: str) -> None:
        self._port = port
        self._ask = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self) -> Answer:
        sent = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                status, body = await self._get()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            self.close()
            status, body = 0, ""
        return Answer(sent, time.monotonic() - sent, status, body if status == 200 else "")

    async def _get(self) -> tuple[int, str]:
        if self._stream is None:
            self._stream = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._stream
        writer.write(self._ask)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        body = (await reader.readexactly(length)).decode(errors="replace")
        if "connection: close" in head:
            self.close()
        return status, body

    def close(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None


class Driver:
    """`rate` requests a second for one host, open loop: a slow answer holds back no other request."""

    def __init__(self, port: int, host: str, rate: float, connections: int = 24) -> None:
        self.answers: list[Answer] = []
        self._rate, self._loop = rate, Loop()
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(connections):
            self._idle.put_nowait(Connection(port, host))
        self._stop = threading.Event()
        self._done = self._loop.go(self._run())

    def stop(self) -> list[Answer]:
        self._stop.set()
        self._done.result(30)
        return self.answers

    async def _run(self) -> None:
        running: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not self._stop.is_set():
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.ensure_future(self._one())
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def _one(self) -> None:
        connection = await self._idle.get()
        self.answers.append(await connection.get())
        self._idle.put_nowait(connection)

    # What came of it

    def since(self, began: float, until: float = float("inf")) -> list[Answer]:
        return [one for one in self.answers if began <= one.sent < until]

    def by(self, began: float = 0.0, until: float = float("inf")) -> Counter[str]:
        return Counter(one.by for one in self.since(began, until) if one.good)

    def failures(self, began: float = 0.0, until: float = float("inf")) -> list[Answer]:
        return [one for one in self.since(began, until) if not one.good]

    def none_failed(self, what: str, began: float = 0.0, until: float = float("inf")) -> int:
        """How many there were; a failure names the first ones that failed."""
        all_, bad = self.since(began, until), self.failures(began, until)
        if not all_:
            raise Failure(f"{what}: no request was made")
        if bad:
            first = ", ".join(f"{one.status} at {one.sent - all_[0].sent:+.2f} s" for one in bad[:5])
            raise Failure(f"{what}: {len(bad)} of {len(all_)} requests failed: {first}")
        return len(all_)


class Probe:
    """One request after the other: how fine a change of the routing can be seen."""

    def __init__(self, port: int, host: str) -> None:
        self._loop = Loop()
        self._connection = Connection(port, host)

    def get(self) -> Answer:
        return self._loop.run(self._connection.get())

    def until_seen(self, by: str, within: float = 15.0) -> Answer:
        """The first answer by that back end."""
        return self._loop.run(self._until(lambda one: one.by == by, f"{by} answers", within), within + 10)

    def until_gone(self, by: str, within: float = 15.0, quiet: int = 40) -> Answer:
        """The last answer by that back end, when `quiet` others came after it."""
        return self._loop.run(self._gone(by, within, quiet), within + 10)

    async def _until(self, wanted, what: str, within: float) -> Answer:  # noqa: ANN001
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            one = await self._connection.get()
            if wanted(one):
                return one
            await asyncio.sleep(0.001)
        raise Failure(f"{what}: not within {within:g} s")

    async def _gone(self, by: str, within: float, quiet: int) -> Answer:
        deadline = time.monotonic() + within
        last = await self._connection.get()
        others = 0
        while time.monotonic() < deadline:
            one = await self._connection.get()
            if one.by == by:
                last, others = one, 0
            else:
                others += 1
                if others >= quiet:
                    return last
            await asyncio.sleep(0.001)
        raise Failure(f"{by} answers no more: not within {within:g} s")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
