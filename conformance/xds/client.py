"""A scripted xDS client over plain gRPC streams: it does what the script says, well-behaved or not."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from stream import CHANNEL_OPTIONS, End, Response, Stream
from transcript import arrival_text, request_text, response_text
from verdict import Failure, check
from wire import ADS_METHOD, BY_URL, WRAPPER_URL, Form, Type

# What must come has this long to come; what must not come is waited for this long.
LIMIT = 10.0
QUIET = 0.3


@dataclass
class Client:
    """A node with one aggregated stream, or with a stream for each type."""

    address: str
    form: Form
    aggregated: bool
    node: base_pb2.Node
    say: Callable[[str], None]
    options: Sequence[tuple[str, Any]] = ()
    title: str = "client"
    # Waits for the server to be there.
    patient: bool = False
    # Seconds after which a stream is over.
    deadline: float | None = None
    # Rules that a response broke, whatever the script was about.
    violations: list[str] = field(default_factory=list)
    # What a client that applies everything holds: type, name, message.
    have: dict[Type, dict[str, Any]] = field(default_factory=dict)
    have_versions: dict[Type, dict[str, str]] = field(default_factory=dict)
    # State of the world: the names of the last request, and the version that the last ACK named.
    asked_names: dict[Type, list[str]] = field(default_factory=dict)
    accepted: dict[Type, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(self.address, options=[*CHANNEL_OPTIONS, *self.options])
        self._streams: dict[str, Stream] = {}
        self._queue: queue.Queue[Response | End] = queue.Queue()

    # Streams

    def stream(self, kind: Type) -> Stream:
        path = ADS_METHOD[self.form] if self.aggregated else kind.method(self.form)
        if path not in self._streams:
            sotw = self.form is Form.SOTW
            answer = discovery_pb2.DiscoveryResponse if sotw else discovery_pb2.DeltaDiscoveryResponse
            method = self.channel.stream_stream(
                path, request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString
            )
            only = None if self.aggregated else kind
            self._streams[path] = Stream(method, only, self.arrived, self.patient, self.deadline)
        return self._streams[path]

    @property
    def streams(self) -> list[Stream]:
        return list(self._streams.values())

    def pause(self, kind: Type) -> None:
        self.stream(kind).reading.clear()

    def resume(self, kind: Type) -> None:
        self.stream(kind).reading.set()

    def half_close(self) -> None:
        self._note("half-close")
        for stream in self.streams:
            stream.half_close()

    def reset(self) -> None:
        self._note("reset")
        for stream in self.streams:
            stream.reset()

    def close(self) -> None:
        for stream in self.streams:
            stream.reading.set()
            stream.reset()
        self.channel.close()

    # Requests

    def ask(
        self,
        kind: Type,
        names: Iterable[str] = (),
        *,
        version: str | None = None,
        nonce: str | None = None,
        error: str | None = None,
        type_url: str | None = None,
    ) -> None:
        """State of the world: the full set of names. Version and nonce are those of the last response unless given."""
        stream = self.stream(kind)
        last = stream.last.get(kind)
        request = discovery_pb2.DiscoveryRequest(
            type_url=kind.url if type_url is None else type_url,
            resource_names=list(names),
            version_info=version if version is not None else (last.version if last else ""),
            response_nonce=nonce if nonce is not None else (last.nonce if last else ""),
        )
        self.send(kind, request, error)

    def edit(
        self,
        kind: Type,
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        *,
        initial: dict[str, str] | None = None,
        nonce: str = "",
        error: str | None = None,
        type_url: str | None = None,
    ) -> None:
        """Delta: names to add and to drop."""
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=kind.url if type_url is None else type_url,
            resource_names_subscribe=list(subscribe),
            resource_names_unsubscribe=list(unsubscribe),
            initial_resource_versions=initial or {},
            response_nonce=nonce,
        )
        self.send(kind, request, error)

    def want(self, kind: Type, *names: str) -> None:
        """The first request of a type in either form; no names means everything."""
        if self.form is Form.SOTW:
            self.ask(kind, names)
        else:
            self.edit(kind, names)

    def ack(self, response: Response, names: Iterable[str] | None = None) -> None:
        """`names`: state of the world repeats the full set; by default the last one sent."""
        self._answer(response, names, None)

    def nack(self, response: Response, text: str = "refused by the script", names: Iterable[str] | None = None) -> None:
        self._answer(response, names, text)

    def _answer(self, response: Response, names: Iterable[str] | None, error: str | None) -> None:
        kind = response.kind
        if self.form is Form.DELTA:
            self.edit(kind, names or (), nonce=response.nonce, error=error)
            return
        if names is None:
            names = self.asked_names.get(kind, ())
        version = response.version if error is None else self.accepted.get(kind, "")
        if error is None:
            self.accepted[kind] = response.version
        self.ask(kind, names, version=version, nonce=response.nonce, error=error)

    def send(self, kind: Type, request: Any, error: str | None = None) -> None:
        stream = self.stream(kind)
        if not stream.identified and not request.HasField("node"):
            request.node.CopyFrom(self.node)
        stream.identified = True
        if error is not None:
            request.error_detail.CopyFrom(status_pb2.Status(code=3, message=error))
        if self.form is Form.SOTW:
            self.asked_names[kind] = list(request.resource_names)
        self._note(f"→ {request_text(request)}")
        stream.send(request)

    # Responses

    def expect(self, kind: Type, within: float = LIMIT) -> Response:
        """The next thing to come, which must be a response of this type."""
        got = self.any(kind.short, within)
        check(got.kind is kind, f"{self.title}: {kind.short} wanted, {got.kind.short} came")
        return got

    def any(self, what: str, within: float = LIMIT) -> Response:
        """The next thing to come, which must be a response."""
        got = self.next(within)
        if got is None:
            raise Failure(f"{self.title}: no {what} within {within:g} s")
        if isinstance(got, End):
            raise Failure(f"{self.title}: {what} wanted, the stream ended: {got.code.name} {got.details}")
        return got

    def maybe(self, kind: Type, within: float = QUIET) -> Response | None:
        """An answer that the rules leave to the server."""
        got = self.next(within)
        if got is None:
            return None
        if isinstance(got, End) or got.kind is not kind:
            raise Failure(f"{self.title}: {kind.short} or nothing wanted, {arrival_text(got)} came")
        return got

    def silent(self, window: float = QUIET) -> None:
        got = self.next(window)
        if got is not None:
            raise Failure(f"{self.title}: silence wanted, {arrival_text(got)} came")

    def ended(self, within: float = LIMIT) -> End:
        """What comes until the stream ends is passed over."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            got = self.next(left)
            if isinstance(got, End):
                return got
        raise Failure(f"{self.title}: the stream did not end within {within:g} s")

    def next(self, within: float) -> Response | End | None:
        try:
            got = self._queue.get(timeout=within)
        except queue.Empty:
            return None
        if isinstance(got, Response):
            got.stream.last[got.kind] = got
            self._apply(got)
        return got

    def drain(self, window: float = QUIET) -> list[Response]:
        """Everything that comes until nothing has come for the window."""
        out: list[Response] = []
        while (got := self.next(window)) is not None:
            if isinstance(got, End):
                raise Failure(f"{self.title}: the stream ended: {got.code.name} {got.details}")
            out.append(got)
        return out

    def arrived(self, stream: Stream, message: Any) -> None:
        """Called by the streams' threads."""
        if isinstance(message, End):
            self._note(f"← end {message.code.name} {message.details}".rstrip())
            self._queue.put(message)
            return
        kind = BY_URL.get(message.type_url)
        if kind is None:
            self.violations.append(f"rule 6: a response with type_url {message.type_url!r}")
            return
        response = self._open(stream, kind, message)
        self._inspect(stream, response)
        self._note(f"← {response_text(response)}")
        self._queue.put(response)

    def _open(self, stream: Stream, kind: Type, message: Any) -> Response:
        resources: dict[str, Any] = {}
        versions: dict[str, str] = {}
        removed: list[str] = []
        listed: list[str] = []
        for item in message.resources:
            name, body = "", item
            if self.form is Form.DELTA:
                name, body = item.name, item.resource
                if not item.name or not item.version:
                    self.violations.append("rule 50: a delta resource without name or version")
                versions[name] = item.version
            elif item.type_url == WRAPPER_URL:
                wrapper = discovery_pb2.Resource()
                item.Unpack(wrapper)
                name, body = wrapper.name, wrapper.resource
            if body.type_url and body.type_url != kind.url:
                self.violations.append(f"rule 6: {body.type_url} inside of a {kind.short} response")
            value = kind.message.FromString(body.value)
            name = name or getattr(value, kind.name_field)
            listed.append(name)
            resources[name] = value
        if self.form is Form.DELTA:
            removed = list(message.removed_resources)
        twice = len(listed) + len(removed) - len(set(listed) | set(removed))
        if twice:
            rule = 31 if self.form is Form.SOTW else 50
            self.violations.append(f"rule {rule}: a name stands twice in one {kind.short} response")
        version = message.version_info if self.form is Form.SOTW else message.system_version_info
        return Response(kind, message.nonce, version, resources, versions, removed, message, stream)

    def _inspect(self, stream: Stream, response: Response) -> None:
        kind = response.kind
        if kind.url not in stream.asked:
            self.violations.append(f"rule 7: {kind.short} was never asked for on this stream")
        if not response.nonce or response.nonce in stream.nonces:
            self.violations.append(f"rule 11: nonce {response.nonce!r} is empty or was used before")
        stream.nonces.add(response.nonce)
        if self.form is Form.SOTW and not response.version:
            self.violations.append(f"rule 12: {kind.short} without version_info")
        if not response.raw.control_plane.identifier:
            self.violations.append("rule 9: no control_plane.identifier")

    def _apply(self, response: Response) -> None:
        held = self.have.setdefault(response.kind, {})
        versions = self.have_versions.setdefault(response.kind, {})
        if self.form is Form.SOTW and response.kind.full_state:
            held.clear()
        held.update(response.resources)
        versions.update(response.versions)
        for name in response.removed:
            held.pop(name, None)
            versions.pop(name, None)

    def _note(self, text: str) -> None:
        self.say(f"{self.title} {text}")
