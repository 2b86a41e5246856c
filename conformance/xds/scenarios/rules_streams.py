"""Further checks: services, streams, identity, limits."""

from __future__ import annotations

import time

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import storm
from case import ADS, ALL, DELTA_ADS, DELTA_SINGLE, SOTW_ADS, SOTW_SINGLE, Case, rule
from server import until
from stream import CHANNEL_OPTIONS, Response
from verdict import check, equal
from wire import CDS, EDS, LDS, TYPES, Form
from world import cluster

A, B = cluster("a"), cluster("b")

NOT_SERVED = (
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources",
    "/envoy.service.cluster.v3.ClusterDiscoveryService/Fetch",
    "/envoy.service.route.v3.VirtualHostDiscoveryService/StreamVirtualHosts",
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


@rule(1, [SOTW_ADS])
def reflection(t: Case) -> None:
    """gRPC reflection names the services, their methods and the resource types, so that any client can call them"""
    t.serve("a")
    with grpc.insecure_channel(t.server.xds, options=CHANNEL_OPTIONS) as channel:
        told = ProtoReflectionDescriptorDatabase(channel)
        services = set(told.get_services())
        wanted = {"envoy.service.discovery.v3.AggregatedDiscoveryService"} | {
            f"envoy.service.{kind.service}" for kind in TYPES
        }
        check(wanted <= services, f"services that are not named: {sorted(wanted - services)}")
        pool = descriptor_pool.DescriptorPool(told)
        service = pool.FindServiceByName("envoy.service.discovery.v3.AggregatedDiscoveryService")
        methods = {method.name: method.input_type.full_name for method in service.methods}
        requests = {
            "StreamAggregatedResources": "envoy.service.discovery.v3.DiscoveryRequest",
            "DeltaAggregatedResources": "envoy.service.discovery.v3.DeltaDiscoveryRequest",
        }
        equal(methods, requests, "methods and their requests")
        # What stands in an Any is described too.
        for kind in TYPES:
            name = kind.message.DESCRIPTOR.full_name
            equal(pool.FindMessageTypeByName(name).full_name, name, "a resource type")


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
    if isinstance(got, Response):
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


@rule(24, ADS)
def wildcard_switch(t: Case) -> None:
    """a switch turns the legacy wildcard off"""
    t.serve("a", xds_legacy_wildcard="false")
    c = t.client()
    c.want(CDS)
    c.silent()
    c.ask(CDS, ["*"]) if t.form is Form.SOTW else c.edit(CDS, ["*"])
    equal(c.expect(CDS).names, [A], "the answer to an explicit wildcard")


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


@rule(77, ADS)
def connection_age(t: Case) -> None:
    """connections end at a set age, with jitter; what comes back is served, and nothing else ends"""
    age, jitter, count = 2.0, 0.5, 6
    server = t.serve("a", xds_max_connection_age=f"{age:g}s", xds_max_connection_age_jitter=f"{jitter:.0%}")
    clients, opened = [], []
    for number in range(count):
        opened.append(time.monotonic())
        c = t.client(f"judge-{number}", f"client {number}")
        c.want(CDS)
        c.ack(c.expect(CDS))
        clients.append(c)
    ages = []
    for c, at in zip(clients, opened, strict=True):
        end = c.ended(within=age * (1 + jitter) + 3)
        equal(end.code, grpc.StatusCode.OK, "status: the end of a stream that was served is no error to gRPC clients")
        ages.append(end.at - at)
    shown = ", ".join(f"{seconds:.2f}" for seconds in ages)
    check(min(ages) >= age * (1 - jitter), f"ended too early: after {shown} s")
    # Or all would come back at once.
    check(max(ages) - min(ages) > age * jitter / 10, f"ended together: after {shown} s")
    until("all streams are gone", lambda: server.streams() == 0)
    back = t.client("judge-0", "client 0 again")
    back.want(CDS)
    equal(back.expect(CDS).names, [A], "resources after coming back")


@rule(70, ADS)
def resource_errors(t: Case) -> None:
    """SotW: a name that does not exist is said once, as NOT_FOUND; never beside the resource. Delta has removals"""
    t.serve("a", xds_resource_errors="true")
    c = t.client()
    c.want(EDS, A, B)
    first = c.expect(EDS)
    equal((first.names, missing(first)), ([A], [B]), "resources and errors")
    c.ack(first)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    second = c.expect(EDS)
    equal((second.names, missing(second)), ([A], []), "resources and errors of a later response")
    c.ack(second)
    t.world.add("b")
    t.commit("cluster b is created")
    third = c.expect(EDS)
    equal((third.names, missing(third)), ([B], []), "resources and errors once it exists")


def missing(response: Response) -> list[str]:
    """Names that a response says do not exist, in the words of its form."""
    errors = response.raw.resource_errors
    for error in errors:
        equal(error.error_detail.code, grpc.StatusCode.NOT_FOUND.value[0], "code of an error")
        check(error.resource_name.name not in response.names, "an error beside the resource itself")
    return [error.resource_name.name for error in errors] + response.removed


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
    """no cluster of a Gateway asks for load reports: access logs tell of the same requests"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    for name, value in c.expect(CDS).resources.items():
        check(not value.HasField("lrs_server"), f"{name} names an LRS server")
