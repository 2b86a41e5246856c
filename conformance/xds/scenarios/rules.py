"""What the numbered scenarios leave out: a check for each rule that has none."""

from __future__ import annotations

import json
import signal

import certificates
import grpc
import storm
from case import ADS, ALL, DELTA_ADS, DELTA_SINGLE, SOTW_ADS, SOTW_SINGLE, Case, rule
from client import CHANNEL_OPTIONS
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from server import until
from verdict import NotYet, check, equal
from wire import CDS, EDS, LDS, RDS, SDS, TYPES, Form
from world import World, cluster, secret, table

A, B = cluster("a"), cluster("b")

NOT_SERVED = (
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources",
    "/envoy.service.cluster.v3.ClusterDiscoveryService/Fetch",
    "/envoy.service.route.v3.VirtualHostDiscoveryService/StreamVirtualHosts",
    "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats",
    "/envoy.api.v2.ClusterDiscoveryService/StreamClusters",
    "/nothing.at.all/Method",
)


def _status_of(address: str, path: str) -> grpc.StatusCode:
    """What a call ends with that sends one empty message and closes its side."""
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        call = channel.stream_stream(path, request_serializer=bytes, response_deserializer=bytes)(
            iter([b""]), timeout=5
        )
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@rule(1, ALL)
def services(t: Case) -> None:
    """every discovery service answers in its form; everything else is UNIMPLEMENTED at once"""
    t.serve("a")
    if t.variant.aggregated:
        c = t.client()
        c.want(CDS)
        c.expect(CDS)
        for path in NOT_SERVED:
            equal(_status_of(t.server.xds, path), grpc.StatusCode.UNIMPLEMENTED, path)
        return
    c = t.client()
    for kind in TYPES:
        if t.form is Form.SOTW and not kind.sotw:
            continue
        c.want(kind, "nothing-has-this-name")
        for answer in c.drain(0.1):
            c.ack(answer)
    c.silent()
    leds = "/envoy.service.endpoint.v3.LocalityEndpointDiscoveryService/DeltaLocalityEndpoints"
    if t.form is Form.DELTA and _status_of(t.server.xds, leds) is grpc.StatusCode.UNIMPLEMENTED:
        t.note("LEDS is UNIMPLEMENTED: no assignment refers to it")


@rule(4, ADS)
def node_id(t: Case) -> None:
    """a first request without node id ends with INVALID_ARGUMENT; another id later is refused or ignored"""
    t.serve("a")
    for what, empty in (("no node", base_pb2.Node()), ("an empty id", base_pb2.Node(cluster="x"))):
        c = t.client(title=what)
        c.node = empty
        c.want(CDS)
        equal(c.ended(within=3).code, grpc.StatusCode.INVALID_ARGUMENT, what)
    c = t.client(title="another id")
    c.want(EDS, A)
    c.ack(c.expect(EDS))
    make = discovery_pb2.DiscoveryRequest if t.form is Form.SOTW else discovery_pb2.DeltaDiscoveryRequest
    request = make(type_url=LDS.url, node=base_pb2.Node(id="somebody-else"))
    c.send(LDS, request, None)
    got = c.next(within=3)
    check(got is not None, "refused or ignored, but not a hang")
    if not hasattr(got, "code"):
        equal(len(got.names), 1, "listeners of the first id's own gateway")


@rule(5, ALL)
def type_url(t: Case) -> None:
    """type_url is required on aggregated streams, inferred on single-type ones, which refuse another type"""
    t.serve("a")
    c = t.client()
    if t.variant.aggregated:
        c.ask(CDS, type_url="") if t.form is Form.SOTW else c.edit(CDS, type_url="")
        equal(c.ended(within=3).code, grpc.StatusCode.INVALID_ARGUMENT, "status")
        return
    c.ask(CDS, type_url="") if t.form is Form.SOTW else c.edit(CDS, type_url="")
    first = c.expect(CDS)
    equal((first.names, first.raw.type_url), ([A], CDS.url), "resources and type_url of the answer")
    other = t.client("judge-2", "another type")
    other.ask(CDS, type_url=EDS.url) if t.form is Form.SOTW else other.edit(CDS, type_url=EDS.url)
    equal(other.ended(within=3).code, grpc.StatusCode.INVALID_ARGUMENT, "status")


@rule(9, [SOTW_ADS])
def replica_name(t: Case) -> None:
    """control_plane.identifier names the replica: two of them differ"""
    server = t.serve("a")
    other = t.make_server(folder=server.folder)
    other.start()
    names = []
    for title, where in (("one", server), ("two", other)):
        c = t.client(title=title, server=where)
        c.ask(CDS)
        names.append(c.expect(CDS).raw.control_plane.identifier)
    check(names[0] and names[0] != names[1], f"identifiers of two replicas: {names}")


@rule(34, ADS, also=[12])
def same_content(t: Case) -> None:
    """documents in another order, with comments, or written again: nothing is pushed"""
    server = t.serve("a", "b")
    c = t.client()
    for kind, names in ((CDS, []), (EDS, [A, B]), (LDS, []), (RDS, [table(8001)])):
        c.want(kind, *names)
        c.ack(c.expect(kind))
    for answer in c.drain():
        c.ack(answer)
    reads = server.metric("isthmus_source_reads_total")
    lines = [line for line in t.world.text().splitlines() if line != "---"]
    text = "".join(f"---\n# in another order\n{json.dumps(_turned(json.loads(line)))}\n" for line in reversed(lines))
    t.say("# the same documents in another order")
    server.folder.write("world.yaml", text)
    until("the file is read", lambda: server.metric("isthmus_source_reads_total") > reads)
    c.silent(0.5)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    equal(c.expect(EDS).names, [A], "resources")


def _turned(value: object) -> object:
    """The same mapping, its keys the other way round; lists have a meaning and stay."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(item) for item in value] if isinstance(value, list) else value


@rule(39, ALL, also=[43])
def back_to_the_old(t: Case) -> None:
    """v2 refused, then v1 is wanted again: v1 is sent, since the client may have v2 all the same"""
    t.serve("a", "b")
    c = t.client()
    c.want(EDS, A, B)
    v1 = c.expect(EDS)
    c.ack(v1)
    old = list(t.world.services["a"].endpoints)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change: v2")
    c.nack(c.expect(EDS))
    t.world.services["a"].endpoints = old
    t.commit("endpoints of a are what they were: v1")
    again = c.expect(EDS, within=3)
    equal(again.resources.get(A), v1.resources[A], "A")


@rule(41, [SOTW_ADS])
def odd_acks(t: Case) -> None:
    """new nonce, old version and no error, or no answer at all: Envoy's ways to answer what it does not watch"""
    t.serve("a", "b", ack_timeout="700ms")
    c = t.client()
    c.ask(EDS, [A])
    first = c.expect(EDS)
    c.ack(first)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    second = c.expect(EDS)
    c.ask(EDS, [A], version=first.version, nonce=second.nonce)
    c.silent()
    t.world.change_endpoints("a")
    t.commit("endpoints of a change; the next is not answered")
    c.expect(EDS, within=0.5)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    c.expect(EDS, within=3)


@rule(49, [DELTA_ADS])
def assignment_after_cluster(t: Case) -> None:
    """delta: after a change of a cluster its assignment comes unasked, unchanged or not; also a new stream's first"""
    t.serve("a", "b")
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(EDS, [A, B])
    c.ack(c.expect(EDS))
    for answer in c.drain():
        c.ack(answer)
    t.world.change_cluster("a")
    t.commit("cluster a changes, its endpoints do not")
    c.ack(c.expect(CDS))
    equal(c.expect(EDS, within=2).names, [A], "EDS")
    held = {kind: dict(c.have_versions[kind]) for kind in (CDS, EDS)}
    c.close()
    t.world.change_cluster("b")
    t.commit("cluster b changes; nobody is connected")
    new = t.client(title="new stream")
    new.edit(CDS, initial=held[CDS])
    equal(new.expect(CDS).names, [B], "CDS")
    new.edit(EDS, [A, B], initial=held[EDS])
    check(B in new.expect(EDS, within=2).names, "EDS of the changed cluster, although the client says that it has it")


@rule(49, [SOTW_ADS])
def look_alike_ack(t: Case) -> None:
    """SotW: CDS on a stream of its own, EDS aggregated (the clusters say `ads`): the look-alike ACK is answered"""
    t.serve("a", "b")
    clusters, assignments = t.client(title="CDS alone"), t.client(title="EDS on ADS")
    clusters.aggregated = False
    clusters.ask(CDS)
    clusters.ack(clusters.expect(CDS))
    assignments.ask(EDS, [A, B])
    first = assignments.expect(EDS)
    assignments.ack(first)
    t.world.change_cluster("a")
    t.commit("cluster a changes, its endpoints do not")
    clusters.ack(clusters.expect(CDS))
    # As Envoy does for the new, warming cluster; without an answer it warms for 15 s.
    assignments.ack(first)
    check(A in assignments.expect(EDS, within=2).names, "the assignment of A is sent again")


@rule(59, [DELTA_ADS])
def no_harmful_removals(t: Case) -> None:
    """delta: assignments and secrets are not removed just because their parent went"""
    world = World.of("a", "b")
    world.secure("tls", 8443, certificates.make())
    t.serve(world=world)
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(EDS, [A, B])
    c.edit(SDS, [secret("tls")])
    for answer in c.drain():
        c.ack(answer)
    t.world.drop("a")
    del t.world.listeners["tls"]
    t.commit("cluster a and the TLS listener are deleted; the client stays subscribed to what they named")
    for answer in c.drain():
        check(answer.kind is CDS or not answer.removed, f"{answer.kind.short} removed={answer.removed}")
        c.ack(answer)
    check(A not in c.have[CDS], "the cluster is gone")


@rule(67, [SOTW_SINGLE, DELTA_SINGLE])
def many_streams(t: Case) -> None:
    """300 streams on one connection, as Envoy opens one for each secret: all served"""
    count = 300
    server = t.serve("a")
    crowd = storm.Storm(server.xds, t.form, count, per_connection=count, path=CDS.method(t.form))
    t.stack.callback(crowd.close)
    crowd.start()
    until(f"{count} streams are served", lambda: crowd.served == count, within=15)
    equal(crowd.trouble, "", "trouble")


@rule(77, [SOTW_ADS])
def connection_age(t: Case) -> None:
    """connections end at a set age, with jitter"""
    raise NotYet("there is no setting for a connection's age")


@rule(79, ADS, also=[13])
def no_step_back(t: Case) -> None:
    """killed right after a change and started again: no client is ever shown the state before the change"""
    server = t.serve("a", "b", "c")
    c = t.client(title="before")
    c.want(CDS)
    c.ack(c.expect(CDS))
    # More than once, so that not all of it can be on disk when the end comes.
    for name in "abc":
        t.world.change_cluster(name)
        t.commit(f"cluster {name} changes")
        c.ack(c.expect(CDS))
    held = dict(c.have[CDS])
    # Connects the moment the port is open again, as a crowd of proxies does.
    server.stop(signal.SIGKILL)
    t.say("# killed at once and started again")
    eager = [t.client(f"eager-{number}", f"eager {number}", eager=True) for number in range(20)]
    for client in eager:
        client.want(CDS)
    server.start()
    for client in eager:
        first = client.expect(CDS)
        client.ack(first)
        equal(_differing(first.resources, held), [], f"{client.title}: clusters that its first response shows as they were")


def _differing(got: dict[str, object], wanted: dict[str, object]) -> list[str]:
    return sorted(name for name in wanted if got.get(name) != wanted[name])


@rule(80, [DELTA_ADS])
def large_request(t: Case) -> None:
    """a reconnect that echoes more than 4 MiB of names and versions is served"""
    t.serve("a")
    c = t.client()
    held = {f"service/shop/gone-with-a-rather-long-name-{number:06}/80": "v" * 11 for number in range(80_000)}
    c.edit(CDS, initial=held)
    size = 0
    removed: list[str] = []
    while len(removed) < len(held):
        got = c.expect(CDS, within=20)
        c.ack(got)
        removed += got.removed
        size = max(size, got.raw.ByteSize())
    equal(sorted(removed), sorted(held), "removals")
    check(size < 4 << 20, f"the largest response has {size} bytes, more than gRPC clients take by default")


@rule(87, [SOTW_ADS])
def no_load_reports(t: Case) -> None:
    """no cluster asks for load reports, since there is no service to take them"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    for name, value in c.expect(CDS).resources.items():
        check(not value.HasField("lrs_server"), f"{name} names an LRS server")
