"""A steady client: so many requests a second, half of them on connections of their own, half on kept ones."""

from __future__ import annotations

import http.client
import json
import queue
import select
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

WORKERS = 16
# Longer than any wait that a proxy or a slow machine explains: what takes this long has failed.
TIMEOUT = 15
# More than this many that wait for a worker: the machine is too slow for the rate, and what is left out is counted.
BACKLOG = 100


@dataclass(frozen=True)
class Target:
    address: str
    host: str
    namespace: str
    path: str = "/"
    port: int = 80


@dataclass
class Count:
    times: list[float] = field(default_factory=list)
    # When (by the clock of time.monotonic), and what.
    failures: list[tuple[float, str]] = field(default_factory=list)
    by_pod: Counter[str] = field(default_factory=Counter)


def ask(connection: http.client.HTTPConnection, target: Target) -> str:
    """One request; the pod that answered. Raises if the answer is not the one of an echo of that namespace."""
    connection.request("GET", target.path, headers={"host": target.host})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise http.client.HTTPException(f"status {response.status}: {body[:100]!r}")
    said = json.loads(body)
    if said["namespace"] != target.namespace:
        raise http.client.HTTPException(f"the answer is from namespace {said['namespace']}")
    return said["pod"]


def once(target: Target, timeout: float = TIMEOUT) -> str:
    connection = http.client.HTTPConnection(target.address, target.port, timeout=timeout)
    try:
        return ask(connection, target)
    finally:
        connection.close()


class Load:
    """`with Load(targets, rate):` asks them in turn; afterwards, and meanwhile, `count` says how it went."""

    def __init__(self, targets: list[Target], rate: float = 50) -> None:
        self.targets, self.rate = targets, rate
        self.count = {target: Count() for target in targets}
        self.skipped = 0
        # Times in which a failure is nobody's fault: begin, end and why.
        self.excused: list[tuple[float, float, str]] = []
        self.began = time.monotonic()
        self.ended = threading.Event()
        self.waiting: queue.Queue[tuple[Target, bool] | None] = queue.Queue()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS)]
        self.threads.append(threading.Thread(target=self._clock, daemon=True))

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(TIMEOUT + 5)

    def _clock(self) -> None:
        number, due = 0, time.monotonic()
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            if self.waiting.qsize() > BACKLOG:
                self.skipped += 1
            else:
                target = self.targets[number // 2 % len(self.targets)]
                self.waiting.put((target, number % 2 == 0))
            number += 1
            due += 1 / self.rate
        for _ in range(WORKERS):
            self.waiting.put(None)

    def _work(self) -> None:
        kept: dict[Target, http.client.HTTPConnection] = {}
        while (item := self.waiting.get()) is not None:
            target, fresh = item
            connection = None if fresh else kept.pop(target, None)
            # What the other side has closed in the meantime is not used, as any client looks first.
            if connection and connection.sock and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
            if connection is None:
                connection = http.client.HTTPConnection(target.address, target.port, timeout=TIMEOUT)
            count, began = self.count[target], time.monotonic()
            try:
                pod = ask(connection, target)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                connection.close()
                which = "new" if fresh else "kept"
                count.failures.append((began, f"{target.host} on a {which} connection: {error!r}"))
                continue
            count.times.append(time.monotonic() - began)
            count.by_pod[pod] += 1
            if fresh:
                connection.close()
            else:
                kept[target] = connection
        for connection in kept.values():
            connection.close()

    def failures(self, begin: float = 0, end: float = float("inf")) -> list[str]:
        """Those whose requests began in this time."""
        all_of = (f for count in self.count.values() for f in count.failures if begin <= f[0] < end)
        return [f"{at - self.began:.1f} s: {text}" for at, text in sorted(all_of)]

    def asked(self) -> int:
        return sum(len(count.times) + len(count.failures) for count in self.count.values())

    def figures(self) -> str:
        times = sorted(time for count in self.count.values() for time in count.times) or [0.0]
        at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000  # noqa: E731
        skipped = f", {self.skipped} not asked because the machine was too slow" if self.skipped else ""
        return f"{self.asked()} requests, {len(self.failures())} failed{skipped}; p50 {at(0.5):.1f} ms, p99 {at(0.99):.0f} ms"
