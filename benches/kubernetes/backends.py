"""Back ends that say at which of this machine's addresses they were reached, and a client that asks all the time."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import threading
import time
from collections.abc import Callable

import documents


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        own = transport.get_extra_info("sockname")[0].encode()
        self._to, self._rest = transport, b""
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(own), own)

    def data_received(self, data: bytes) -> None:
        # Requests have no body here.
        *asked, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._to.write(self._answer * len(asked))


def serve() -> None:
    """For as long as the process lives."""
    for network in documents.NETWORKS:
        subprocess.run(["ip", "route", "replace", "local", network, "dev", "lo"], check=True)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.create_server(_Answering, "0.0.0.0", documents.PORT, backlog=1024))
    threading.Thread(target=loop.run_forever, daemon=True).start()


class Probe:
    """Asks the gateway on one connection, one request after the other."""

    # A machine of few cores is not to be busy with the asking.
    PAUSE = 0.001

    def __init__(self, address: str) -> None:
        self._address = address

    def until(self, host: str, fits: Callable[[int, str], bool], what: str, limit: float = 30) -> float:
        """When the answer had come that fits."""
        connection = http.client.HTTPConnection(self._address, 80, timeout=5)
        end = time.monotonic() + limit
        try:
            while True:
                try:
                    connection.request("GET", "/", headers={"host": host})
                    answer = connection.getresponse()
                    body = answer.read().decode()
                    at = time.monotonic()
                    if fits(answer.status, body):
                        return at
                    last = f"{answer.status} {body}"
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    at, last = time.monotonic(), repr(error)
                if at > end:
                    raise TimeoutError(f"{what}: not within {limit:g} s (last: {last})")
                time.sleep(self.PAUSE)
        finally:
            connection.close()
