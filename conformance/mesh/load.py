"""A steady client in a pod: so many requests a second, half of them on connections of their own, half on kept ones.

    load.py RATE URL [HEADER=VALUE]...            http://host:port/path, or tcp://host:port where each request is a connection

It ends with its standard input, and then says as JSON how it went. Nothing is tried a second time; a kept connection that was
closed meanwhile is not used, as every client looks first.
"""

from __future__ import annotations

import http.client
import json
import queue
import select
import socket
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

WORKERS = 24
TIMEOUT = 10
# More than this many that wait for a worker: the machine is too slow for the rate, and what is left out is counted.
BACKLOG = 200


class Load:
    def __init__(self, rate: float, url: str, headers: dict[str, str]) -> None:
        self.rate, self.url, self.headers = rate, urlsplit(url), headers
        self.times: list[float] = []
        self.failures: list[tuple[float, str]] = []
        self.apps: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.skipped, self.last = 0, 0.0
        self.waiting: queue.Queue[bool | None] = queue.Queue()
        self.ended = threading.Event()

    def clock(self) -> None:
        number, due = 0, time.monotonic()
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            if self.waiting.qsize() > BACKLOG:
                self.skipped += 1
            else:
                self.waiting.put(number % 2 == 0)
            number += 1
            due += 1 / self.rate
        for _ in range(WORKERS):
            self.waiting.put(None)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.hostname or "", self.url.port or 80, timeout=TIMEOUT)

    def work(self) -> None:
        kept: http.client.HTTPConnection | None = None
        while (fresh := self.waiting.get()) is not None:
            if kept and kept.sock and select.select([kept.sock], [], [], 0)[0]:
                kept.close()
                kept = None
            if self.url.scheme == "tcp":
                self.line()
                continue
            connection = self.connect() if fresh or kept is None else kept
            began, at = time.monotonic(), time.time()
            try:
                connection.request("GET", self.url.path or "/", headers=self.headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append((at, f"{'new' if fresh else 'kept'} connection: {error!r}"))
                connection.close()
                kept = None if connection is kept else kept
                continue
            self.times.append(time.monotonic() - began)
            self.statuses[response.status] += 1
            if response.status == 200:
                self.last = max(self.last, at)
            if response.status != 200:
                self.failures.append((at, f"status {response.status}: {body[:120]!r}"))
            else:
                self.apps[json.loads(body)["pod"]] += 1
            if fresh:
                connection.close()
            else:
                kept = connection
        if kept:
            kept.close()

    def line(self) -> None:
        began, at = time.monotonic(), time.time()
        try:
            with socket.create_connection((self.url.hostname or "", self.url.port or 0), timeout=TIMEOUT) as connection:
                connection.sendall(b"hello\n")
                data = b""
                while part := connection.recv(65536):
                    data += part
            self.apps[json.loads(data)["pod"]] += 1
        except (OSError, ValueError, KeyError) as error:
            self.failures.append((at, f"TCP connection: {error!r}"))
            return
        self.times.append(time.monotonic() - began)

    def run(self) -> None:
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(WORKERS)]
        threads.append(threading.Thread(target=self.clock, daemon=True))
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self.ended.set()
        for thread in threads:
            thread.join(TIMEOUT + 5)

    def said(self) -> dict[str, object]:
        times = sorted(self.times) or [0.0]
        at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000  # noqa: E731
        return {
            "asked": len(self.times) + len([f for f in self.failures if "connection" in f[1]]),
            "failed": len(self.failures),
            "skipped": self.skipped,
            "p50": at(0.5),
            "p99": at(0.99),
            # When the last one went well, by the clock.
            "last": self.last,
            "pods": self.apps,
            "statuses": self.statuses,
            "failures": [(at, text) for at, text in self.failures][:5000],
        }


if __name__ == "__main__":
    load = Load(float(sys.argv[1]), sys.argv[2], dict(word.split("=", 1) for word in sys.argv[3:]))
    load.run()
    json.dump(load.said(), sys.stdout)
