"""One gRPC stream, as raw as the library gives it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from wire import Type

CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
]
# The smallest receive window that the library can have: the transport stops taking soon after the script does.
SMALL_WINDOW: list[tuple[str, Any]] = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
EAGER: list[tuple[str, Any]] = [
    ("grpc.initial_reconnect_backoff_ms", 5),
    ("grpc.min_reconnect_backoff_ms", 5),
    ("grpc.max_reconnect_backoff_ms", 5),
]


@dataclass
class Response:
    kind: Type
    nonce: str
    version: str
    resources: dict[str, Any]
    # Delta: the version of each resource.
    versions: dict[str, str]
    removed: list[str]
    raw: Any
    stream: Stream

    @property
    def names(self) -> list[str]:
        return list(self.resources)


@dataclass
class End:
    stream: Stream
    code: grpc.StatusCode
    details: str
    # On the monotonic clock.
    at: float = field(default_factory=time.monotonic)


class Stream:
    """One call. Whatever comes is handed over by a thread of its own."""

    def __init__(
        self,
        method: grpc.StreamStreamMultiCallable,
        only: Type | None,
        arrived: Callable[[Stream, Any], None],
        patient: bool,
        deadline: float | None,
    ) -> None:
        self.only = only
        self.identified = False
        self.asked: set[str] = set()
        self.nonces: set[str] = set()
        # By type: nonce and version of the last response, which every later request repeats.
        self.last: dict[Type, Response] = {}
        self.reading = threading.Event()
        self.reading.set()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._call = method(iter(self._requests.get, None), wait_for_ready=patient, timeout=deadline)
        threading.Thread(target=self._read, args=(arrived,), daemon=True).start()

    def send(self, request: Any) -> None:
        self.asked.add(request.type_url or (self.only.url if self.only else ""))
        self._requests.put(request)

    def half_close(self) -> None:
        self._requests.put(None)

    def reset(self) -> None:
        self._call.cancel()
        self._requests.put(None)

    def _read(self, arrived: Callable[[Stream, Any], None]) -> None:
        try:
            while True:
                self.reading.wait()
                arrived(self, next(self._call))
        except StopIteration:
            arrived(self, End(self, grpc.StatusCode.OK, ""))
        except grpc.RpcError as error:
            arrived(self, End(self, error.code(), error.details() or ""))
        except ValueError:
            # The channel was closed by the script.
            arrived(self, End(self, grpc.StatusCode.CANCELLED, "channel closed"))
