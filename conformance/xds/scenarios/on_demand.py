"""Scenarios 60 to 65: TTL, on demand, names with a scheme, and what no server knows."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import duration_pb2

from case import ADS, DELTA, DELTA_ADS, SOTW, Case, scenario
from stream import Response
from verdict import NotYet, check, equal
from wire import CDS, EDS, RDS, VHDS, WRAPPER_URL, Form
from world import cluster, table

A, B, Z = cluster("a"), cluster("b"), cluster("z")
TTL_FEATURES = (
    "xds.config.resource-in-sotw",
    "xds.config.supports-resource-in-sotw",
    "xds.config.supports-resource-ttl",
)


def ttls(message: object, form: Form) -> list[duration_pb2.Duration]:
    """The TTLs in a response, which only the wrapper of a resource can carry."""
    out = []
    for item in message.resources:  # type: ignore[attr-defined]
        if form is Form.SOTW:
            if item.type_url != WRAPPER_URL:
                continue
            wrapper = discovery_pb2.Resource()
            item.Unpack(wrapper)
            item = wrapper
        if item.HasField("ttl"):
            out.append(item.ttl)
    return out


@scenario(60, [61, 62, 63], ADS)
def ttl(t: Case) -> None:
    """TTL 3 s with heartbeats / stays; heartbeats stop / gone; server resumes / sent whole"""
    t.serve("a")
    c = t.client(features=TTL_FEATURES)
    c.want(EDS, A)
    first = c.expect(EDS)
    c.ack(first)
    given = ttls(first.raw, t.form)
    if not given:
        raise NotYet("no setting gives a resource a TTL, and a client that asks for TTLs gets none")
    seconds = given[0].seconds
    for _ in range(4):
        beat = c.expect(EDS, within=seconds / 2)
        check(ttls(beat.raw, t.form), "a heartbeat carries the TTL")
        equal(beat.versions or beat.version, first.versions or first.version, "the version of a heartbeat")
        c.ack(beat)


@scenario(61, [61], SOTW)
def no_wrapper_unasked(t: Case) -> None:
    """SotW client without the wrapper feature / never gets Resource wrappers"""
    t.serve("a")
    c = t.client()
    c.ask(CDS)
    bare = c.expect(CDS)
    check(all(item.type_url == CDS.url for item in bare.raw.resources), "resources stand bare in the response")
    able = t.client("judge-2", "with the feature", features=TTL_FEATURES)
    able.ask(CDS)
    if not ttls(able.expect(CDS).raw, t.form):
        raise NotYet("no client gets a wrapper, since there are no TTLs; without the feature resources stand bare")


@scenario(62, [46, 64], DELTA)
def on_demand_clusters(t: Case) -> None:
    """ODCDS missing name / removed at once; created later / pushed unasked"""
    t.serve("a")
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(CDS, [Z])
    missing = c.expect(CDS, within=1)
    equal((missing.names, missing.removed), ([], [Z]), "the answer about a missing name, beside the wildcard")
    c.ack(missing)
    t.world.add("z")
    t.commit("cluster z is created")
    equal(c.expect(CDS).names, [Z], "resources")
    other = t.client("judge-2", "names only")
    other.edit(CDS, [B])
    gone = other.expect(CDS, within=1)
    equal((gone.names, gone.removed), ([], [B]), "the answer about a missing name, without the wildcard")
    other.ack(gone)
    t.world.add("b")
    t.commit("cluster b is created")
    equal(other.expect(CDS).names, [B], "resources")


@scenario(63, [65], DELTA)
def virtual_hosts(t: Case) -> None:
    """VHDS host asked / name + alias; unknown host / body-less resource"""
    t.serve("a")
    c = t.client()
    known, unknown = f"{table(8001)}/a.example.com", f"{table(8001)}/nobody.example.com"
    c.edit(VHDS, [known])
    first = c.next(within=2)
    if not isinstance(first, Response) or not first.names:
        raise NotYet("no route table has its virtual hosts on demand: VHDS knows no host")
    item = first.raw.resources[0]
    if known in item.aliases and item.name and not item.resource.value:
        raise NotYet("no route table has its virtual hosts on demand: every host is answered as unknown to VHDS")
    check(known in item.aliases and item.name and item.resource.value, "name, alias and body of a known host")
    c.ack(first)
    c.edit(VHDS, [unknown])
    item = c.expect(VHDS, within=2).raw.resources[0]
    check(unknown in item.aliases and item.name and not item.resource.value, "name and alias of an unknown host")


@scenario(64, [68], [DELTA_ADS])
def globs(t: Case) -> None:
    """xdstp glob, two members / both; third added / sent; other parameters / not"""
    t.serve("a", "b")
    c = t.client()
    glob = "xdstp://isthmus/envoy.config.cluster.v3.Cluster/shop/*"
    c.edit(CDS, [glob])
    first = c.expect(CDS, within=2)
    if not first.names:
        equal(first.removed, [glob], "an empty glob is answered with the glob itself")
        raise NotYet("no resource has an xdstp name; an empty glob is answered as removed")
    equal(len(first.names), 2, "members")
    c.ack(first)
    t.world.add("z")
    t.commit("a third cluster is created")
    equal(len(c.expect(CDS).names), 1, "the third member")


@scenario(65, [10, 69], ADS)
def unknown_things(t: Case) -> None:
    """`resource_locators`, unknown fields, unknown type / stream lives"""
    t.serve("a")
    c = t.client()
    sotw = t.form is Form.SOTW
    request = (discovery_pb2.DiscoveryRequest if sotw else discovery_pb2.DeltaDiscoveryRequest)(type_url=CDS.url)
    locators = request.resource_locators if sotw else request.resource_locators_subscribe
    locators.add(name="x", dynamic_parameters={"env": "prod"})
    # Field 1000, of wire types varint and bytes: what a client of next year may send.
    unknown = type(request).FromString(request.SerializeToString() + b"\xc0\x3e\x01\xc2\x3e\x03abc")
    c.send(CDS, unknown, None)
    answers = c.drain()
    for answer in answers:
        c.ack(answer)
    c.want(EDS, A)
    c.ack(c.expect(EDS))
    strange = (discovery_pb2.DiscoveryRequest if sotw else discovery_pb2.DeltaDiscoveryRequest)(
        type_url="type.googleapis.com/example.Unknown"
    )
    c.send(CDS, strange, None)
    c.silent()
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    got = [c.expect(EDS)]
    equal(got[0].names, [A], "other types go on after an unknown one")
    c.ack(got[0])
    c.want(RDS, table(8001))
    c.expect(RDS)
