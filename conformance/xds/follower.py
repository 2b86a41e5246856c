"""A client that behaves as Envoy does: it asks for what the resources name, and acknowledges everything."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from client import LIMIT, QUIET, Client
from stream import End, Response
from verdict import Failure, check
from wire import CDS, EDS, LDS, RDS, SDS, Form, Type


class Follower:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.subscribed: dict[Type, set[str]] = {EDS: set(), RDS: set(), SDS: set()}
        self._listening = False

    def boot(self, initial: dict[Type, dict[str, str]] | None = None) -> None:
        """From the first request until nothing more comes. `initial`: delta, what an older stream had left."""
        if self.client.form is Form.DELTA and initial:
            self.client.edit(CDS, initial=initial.get(CDS))
        else:
            self.client.want(CDS)
        self.handle(self.client.expect(CDS))
        self.settle()
        if self.client.form is Form.DELTA and initial:
            self.client.edit(LDS, initial=initial.get(LDS))
        else:
            self.client.want(LDS)
        self._listening = True
        self.settle()
        check(LDS in self.client.have, "LDS was answered")

    def settle(self, window: float = QUIET) -> list[Response]:
        """Handles whatever comes until nothing has come for the window."""
        out: list[Response] = []
        while (got := self.client.next(window)) is not None:
            if isinstance(got, End):
                raise Failure(f"{self.client.title}: the stream ended: {got.code.name} {got.details}")
            self.handle(got)
            out.append(got)
        return out

    def until(self, kind: Type, within: float = LIMIT) -> list[Response]:
        """Handles what comes up to the first response of this type, which is left to the script."""
        out: list[Response] = []
        while True:
            got = self.client.next(within)
            if got is None or isinstance(got, End):
                raise Failure(f"{self.client.title}: no {kind.short} within {within:g} s")
            out.append(got)
            if got.kind is kind:
                return out
            self.handle(got)

    def handle(self, response: Response) -> None:
        self.follow(response)
        self.client.ack(response)

    def follow(self, response: Response) -> None:
        """Asks for what the response names, before it is acknowledged, as Envoy does."""
        if response.kind is CDS:
            self._ask(EDS, self.client.have[CDS])
        elif response.kind is LDS:
            self._ask(RDS, {name for value in self.client.have[LDS].values() for name in route_tables(value)})
            self._ask(SDS, {name for value in self.client.have[LDS].values() for name in secrets(value)})

    def _ask(self, kind: Type, wanted: Iterable[str]) -> None:
        new = set(wanted)
        old = self.subscribed[kind]
        if new == old:
            return
        self.subscribed[kind] = new
        if self.client.form is Form.SOTW:
            self.client.ask(kind, sorted(new))
        else:
            self.client.edit(kind, sorted(new - old), sorted(old - new))


def route_tables(listener: object) -> list[str]:
    out = []
    for chain in listener.filter_chains:  # type: ignore[attr-defined]
        for item in chain.filters:
            manager = http_connection_manager_pb2.HttpConnectionManager()
            if item.typed_config.Unpack(manager) and manager.HasField("rds"):
                out.append(manager.rds.route_config_name)
    return out


def secrets(listener: object) -> list[str]:
    out = []
    for chain in listener.filter_chains:  # type: ignore[attr-defined]
        context = tls_pb2.DownstreamTlsContext()
        if chain.transport_socket.typed_config.Unpack(context):
            out += [item.name for item in context.common_tls_context.tls_certificate_sds_secret_configs]
    return out


def clusters_of(table: object) -> set[str]:
    """The clusters that a route table sends requests to."""
    out: set[str] = set()
    for host in table.virtual_hosts:  # type: ignore[attr-defined]
        for route in host.routes:
            if route.route.cluster:
                out.add(route.route.cluster)
            out.update(item.name for item in route.route.weighted_clusters.clusters)
    return out
