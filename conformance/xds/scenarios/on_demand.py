"""Scenarios 60 to 65: TTL, on demand, scopes, names with a scheme, and what no server knows. Where no document of the
product asks for a feature yet, the library face is judged."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import duration_pb2

from case import ADS, DELTA, DELTA_ADS, SOTW, Case, rule, scenario
from library import Resource
from stream import Response
from verdict import check, equal
from wire import CDS, EDS, RDS, SRDS, VHDS, WRAPPER_URL, Form
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


def endpoints(name: str, ttl_ms: int | None = None) -> Resource:
    return Resource(EDS, endpoint_pb2.ClusterLoadAssignment(cluster_name=name), ttl_ms=ttl_ms)


@scenario(60, [61, 62, 63], ADS)
def ttl(t: Case) -> None:
    """TTL 3 s with heartbeats / stays; heartbeats stop / gone; server resumes / sent whole"""
    seconds = 3
    library = t.library(endpoints("a", ttl_ms=seconds * 1000))
    c = t.client(features=TTL_FEATURES, address=library.xds)
    c.want(EDS, "a")
    first = c.expect(EDS)
    equal([ttl.seconds for ttl in ttls(first.raw, t.form)], [seconds], "TTL of the first answer")
    c.ack(first)
    for _ in range(4):
        beat = c.expect(EDS, within=seconds / 2)
        equal((beat.names, whole(beat)), (["a"], []), "a heartbeat names the resource, without a body")
        equal(len(ttls(beat.raw, t.form)), 1, "a heartbeat carries the TTL")
        equal(beat.versions or beat.version, first.versions or first.version, "the version of a heartbeat")
        c.ack(beat)
    # The client forgets: this heartbeat is answered too late to prove that it came in time.
    late = c.expect(EDS, within=seconds / 2)
    c.silent(seconds + 0.5)
    c.ack(late)
    again = c.expect(EDS, within=1)
    equal((whole(again), len(ttls(again.raw, t.form))), (["a"], 1), "what a client may have lost is sent whole")
    c.ack(again)
    library.serve([endpoints("a")])
    last = c.expect(EDS)
    equal((whole(last), ttls(last.raw, t.form)), (["a"], []), "a resend without TTL ends it")
    c.ack(last)
    c.silent(seconds / 2)


def whole(response: Response) -> list[str]:
    """Names of the resources that have a body."""
    out = []
    for item in response.raw.resources:
        if isinstance(response.raw, discovery_pb2.DiscoveryResponse):
            if item.type_url != WRAPPER_URL:
                out += response.names
                continue
            wrapper = discovery_pb2.Resource()
            item.Unpack(wrapper)
            item = wrapper
        if item.HasField("resource"):
            out.append(item.name)
    return out


@scenario(61, [61], SOTW)
def no_wrapper_unasked(t: Case) -> None:
    """SotW client without the wrapper feature / never gets Resource wrappers"""
    library = t.library(endpoints("a", ttl_ms=3000))
    c = t.client(address=library.xds)
    c.want(EDS, "a")
    bare = c.expect(EDS)
    equal([item.type_url for item in bare.raw.resources], [EDS.url], "resources stand bare in the response")
    c.ack(bare)
    c.silent(1.5)
    able = t.client("judge-2", "with the feature", features=TTL_FEATURES, address=library.xds)
    able.want(EDS, "a")
    equal([item.type_url for item in able.expect(EDS).raw.resources], [WRAPPER_URL], "resources stand in wrappers")


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

    def host(name: str, *domains: str) -> Resource:
        message = route_components_pb2.VirtualHost(name=name, domains=domains)
        return Resource(VHDS, message, name=f"t/{name}", domains=list(domains))

    one, other = host("one", "a.example.com", "*.b.example.com"), host("other", "c.example.com")
    library = t.library(one, other)
    c = t.client(address=library.xds)
    known, unknown = "t/a.example.com", "t/nobody.example.com"
    c.edit(VHDS, [known])
    first = c.expect(VHDS, within=2)
    (item,) = first.raw.resources
    equal((item.name, list(item.aliases)), ("t/one", [known]), "name and alias of a known host")
    check(item.resource.value, "a known host has a body")
    c.ack(first)
    c.edit(VHDS, [unknown])
    second = c.expect(VHDS, within=2)
    (item,) = second.raw.resources
    check(unknown in item.aliases and item.name and not item.resource.value, "name and alias of an unknown host")
    c.ack(second)
    library.serve([one, other, host("new", "nobody.example.com")])
    (item,) = c.expect(VHDS).raw.resources
    equal((item.name, list(item.aliases)), ("t/new", [unknown]), "a host that was unknown comes to exist")


@scenario(64, [68], [DELTA_ADS])
def globs(t: Case) -> None:
    """xdstp glob, two members / both; third added / sent; other parameters / not"""

    def member(name: str, parameters: str = "") -> Resource:
        full = f"xdstp://isthmus/envoy.config.cluster.v3.Cluster/shop/{name}{parameters}"
        return Resource(CDS, cluster_pb2.Cluster(name=full))

    def names(*resources: Resource) -> list[str]:
        return [resource.message.name for resource in resources]

    x, y, z, w = member("x"), member("y"), member("z"), member("w", "?env=prod")
    glob, empty = member("*").message.name, "xdstp://isthmus/envoy.config.cluster.v3.Cluster/nothing/*"
    library = t.library(x, y, w)
    c = t.client(address=library.xds)
    c.edit(CDS, [glob])
    first = c.expect(CDS, within=2)
    equal((sorted(first.names), first.removed), (names(x, y), []), "members")
    c.ack(first)
    library.serve([x, y, z, w])
    third = c.expect(CDS)
    equal((third.names, third.removed), (names(z), []), "the third member")
    c.ack(third)
    library.serve([x, z, w, member("v", "?env=prod")])
    gone = c.expect(CDS)
    equal((gone.names, gone.removed), ([], names(y)), "a member that is gone")
    c.ack(gone)
    c.edit(CDS, [empty])
    none = c.expect(CDS, within=2)
    equal((none.names, none.removed), ([], [empty]), "an empty glob is answered with the glob itself")
    c.ack(none)
    # Parameters in another order are the same name, and the name is told as it was asked.
    named = Resource(CDS, cluster_pb2.Cluster(name=member("n", "?a=1&b=2").message.name))
    library.serve([x, z, named])
    spelled = member("n", "?b=2&a=1").message.name
    c.edit(CDS, [spelled])
    equal(c.expect(CDS, within=2).names, [spelled], "the name as it was asked")


@rule(66, ADS)
def scopes(t: Case) -> None:
    """SRDS: the wildcard holds all scopes; a scope comes after the route table that it names, and goes before it"""

    def scope(name: str, table: str) -> Resource:
        message = scoped_route_pb2.ScopedRouteConfiguration(name=name, route_configuration_name=table)
        return Resource(SRDS, message, refs=[(RDS, table)])

    def routes(name: str) -> Resource:
        return Resource(RDS, route_pb2.RouteConfiguration(name=name))

    library = t.library(scope("s", "r"), routes("r"))
    c = t.client(address=library.xds)
    c.want(SRDS)
    first = c.expect(SRDS)
    equal(first.names, ["s"], "scopes")
    c.ack(first)
    c.want(RDS, "r", "q")
    tables = c.expect(RDS)
    equal(tables.names, ["r"], "route tables")
    c.ack(tables)
    library.serve([scope("s", "r"), scope("t", "q"), routes("r"), routes("q")])
    came = [c.expect(RDS), c.expect(SRDS)]
    equal(came[0].names, ["q"], "the new route table comes first")
    equal(sorted(came[1].names), ["s", "t"] if t.form is Form.SOTW else ["t"], "then the scope that names it")
    for response in came:
        c.ack(response)
    # A scope that is new or changed has its route table sent once more (rule 49).
    again = c.maybe(RDS)
    if again is not None:
        equal(again.names, ["q"], "the route table of the new scope")
        c.ack(again)
    library.serve([scope("s", "r"), routes("r")])
    gone = c.expect(SRDS)
    equal((gone.names, gone.removed), (["s"], []) if t.form is Form.SOTW else ([], ["t"]), "the scope goes first")
    c.silent()
    c.ack(gone)
    if t.form is Form.DELTA:
        equal(c.expect(RDS).removed, ["q"], "its route table after the ACK")


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
