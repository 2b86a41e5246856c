"""Scenarios 66 to 68, and more on rules 82 to 87: clients that are gRPC programs and have no Envoy beside them."""

from __future__ import annotations

import json
from typing import Any

import grpc
from envoy.config.endpoint.v3 import load_report_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.load_stats.v3 import lrs_pb2

from case import SOTW_ADS, Case, rule, scenario
from client import LIMIT, Client
from follower import clusters_of
from server import Server, until
from stream import CHANNEL_OPTIONS
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS
from world import NAMESPACE, cluster

# How such a client says who it is, and the name that it dials for service `a` (channel `xds:///…`).
CLAIM: dict[str, Any] = {"role": "grpc"}
SERVICE = f"a.{NAMESPACE}:80"
SERVICE_NODE = f'"service/{NAMESPACE}/a"'


def grpc_client(t: Case, **claim: str) -> Client:
    t.serve("a", "b")
    c = t.client("grpc-1", isthmus=CLAIM | claim)
    c.ask(LDS, [SERVICE])
    return c


def first(c: Client) -> Any:
    got = c.expect(LDS)
    equal(got.names, [SERVICE], "listeners")
    c.ack(got)
    return got


def cluster_behind(c: Client, listener: Any) -> str:
    """Follows the listener as a gRPC client does, up to CDS; returns the cluster."""
    manager = http_connection_manager_pb2.HttpConnectionManager()
    check(listener.api_listener.api_listener.Unpack(manager), "rule 83: api_listener holds a connection manager")
    check(not listener.HasField("address") and not listener.filter_chains, "rule 84: nothing that a server would have")
    filters = [item.typed_config.type_url.rpartition(".")[2] for item in manager.http_filters]
    equal(filters, ["Router"], "rule 83: filters that every gRPC client knows")
    table = manager.route_config
    if manager.HasField("rds"):
        check(manager.rds.config_source.HasField("ads"), "rule 82: the source of RDS is ads")
        c.ask(RDS, [manager.rds.route_config_name])
        routes = c.expect(RDS)
        c.ack(routes)
        table = routes.resources[manager.rds.route_config_name]
    for host in table.virtual_hosts:
        for route in host.routes:
            specifier = route.match.WhichOneof("path_specifier")
            check(specifier in ("prefix", "path", "safe_regex"), f"rule 83: {specifier} would be refused")
    name = sorted(clusters_of(table))[0]
    c.ask(CDS, [name])
    clusters = c.expect(CDS)
    equal(clusters.names, [name], "clusters")
    check(clusters.resources[name].eds_cluster_config.eds_config.HasField("ads"), "rule 82: the source of EDS is ads")
    c.ack(clusters)
    return name


@scenario(66, [82, 83, 84], [SOTW_ADS])
def listener_of_a_service(t: Case) -> None:
    """names={svc} / Listener named exactly svc; other listeners left out"""
    c = grpc_client(t)
    name = cluster_behind(c, first(c).resources[SERVICE])
    t.world.services["a"].endpoints = ["10.0.0.1", "10.0.0.2", "10.0.0.2"]
    t.commit("an endpoint stands twice")
    c.ask(EDS, [name])
    assignment = c.expect(EDS).resources[name]
    localities = [(item.priority, str(item.locality)) for item in assignment.endpoints]
    equal(len(set(localities)), len(localities), "rule 84: localities, each once")
    priorities = {priority for priority, _ in localities}
    equal(priorities, set(range(len(priorities))), "rule 84: priorities without a gap")
    addresses = []
    for locality in assignment.endpoints:
        check(locality.load_balancing_weight.value > 0, "rule 84: a locality without weight is skipped")
        addresses += [item.endpoint.address.socket_address.address for item in locality.lb_endpoints]
    equal(sorted(addresses), ["10.0.0.1", "10.0.0.2"], "rule 84: addresses, each once")
    check(not assignment.policy.HasField("overprovisioning_factor"), "rule 84: no overprovisioning")


@scenario(67, [84], [SOTW_ADS])
def last_assignment_dropped(t: Case) -> None:
    """last EDS name dropped, names=[] / nothing sent; asked again / sent"""
    c = grpc_client(t)
    name = cluster_behind(c, first(c).resources[SERVICE])
    c.ask(EDS, [name])
    c.ack(c.expect(EDS))
    c.ask(EDS, [])
    c.silent()
    c.ask(EDS, [name])
    equal(c.expect(EDS, within=2).names, [name], "EDS")


@scenario(68, [83], [SOTW_ADS])
def no_such_listener(t: Case) -> None:
    """LDS `nosuch` / DOES_NOT_EXIST by timer (15 s), at once with resource_errors where read"""
    c = grpc_client(t)
    first(c)
    c.ask(LDS, [SERVICE, "nosuch"])
    answer = c.maybe(LDS)
    check(answer is None or "nosuch" not in answer.names, "nothing comes under that name")
    check(answer is None or SERVICE in answer.names, "the other name stays in a full response")


@rule(83, [SOTW_ADS])
def names_and_scopes(t: Case) -> None:
    """the names that people dial, for whoever may see them"""
    full = f"a.{NAMESPACE}.svc.cluster.local:80"
    c = grpc_client(t, namespace=NAMESPACE)
    first(c)
    c.ask(LDS, [SERVICE, full, f"a.{NAMESPACE}", f"a.{NAMESPACE}:81"])
    equal(sorted(c.expect(LDS).names), sorted([SERVICE, full]), "names of the service")
    stranger = t.client("grpc-2", "elsewhere", isthmus=CLAIM | {"namespace": "elsewhere"})
    stranger.ask(LDS, [SERVICE])
    answer = stranger.maybe(LDS)
    check(answer is None or not answer.names, "no listener for a program of another namespace")


@rule(85, [SOTW_ADS], also=[56])
def deleted_in_use(t: Case) -> None:
    """a service goes: its listener first, its cluster once no routes name it; no other service makes that happen"""
    c = grpc_client(t)
    name = cluster_behind(c, first(c).resources[SERVICE])
    c.ask(EDS, [name])
    c.ack(c.expect(EDS))
    t.world.add("c")
    t.commit("another service comes")
    t.world.drop("b")
    t.commit("another service goes")
    c.silent()
    t.world.drop("a")
    t.commit("the service goes")
    gone = c.expect(LDS)
    equal(gone.names, [], "listeners")
    c.ack(gone)
    c.silent()
    t.say("# as gRPC does: nothing is left that would need routes")
    c.ask(RDS, [])
    gone = c.expect(CDS)
    equal(gone.names, [], "clusters")
    c.ack(gone)
    c.ask(CDS, [])
    c.ask(EDS, [])
    c.silent()
    t.world.add("a")
    t.commit("the service comes back")
    cluster_behind(c, first(c).resources[SERVICE])


@rule(86, [SOTW_ADS])
def nothing_that_grpc_refuses_in_a_cluster(t: Case) -> None:
    """clusters of gRPC programs: no transport socket, a policy that all of them know"""
    c = grpc_client(t)
    cluster_behind(c, first(c).resources[SERVICE])
    t.world.change_cluster("a")
    t.commit("the service speaks HTTP/2")
    got = c.expect(CDS)
    for cluster in got.resources.values():
        check(not cluster.HasField("transport_socket"), "rule 86: TLS by whatever else than a provider instance")
        equal(cluster.lb_policy, 0, "ROUND_ROBIN, which every gRPC client knows")


LOADS = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"


def edge(server: Server, service: str) -> dict[str, Any] | None:
    """Who calls a service, as load reports say: the one edge of the topology."""
    edges = json.loads(server.get("/api/v1/topology") or "{}").get("edges", [])
    target = f"service/{NAMESPACE}/{service}"
    found = [one for one in edges if one["target"] == target and one["reportedBy"] == ["loadReport"]]
    return found[0] if found else None


def reports(t: Case, *messages: lrs_pb2.LoadStatsRequest) -> tuple[list[lrs_pb2.LoadStatsResponse], grpc.StatusCode]:
    """What one stream with these messages is answered, and how it ends."""
    answers = []
    with grpc.insecure_channel(t.server.xds, options=CHANNEL_OPTIONS) as channel:
        method = channel.stream_stream(
            LOADS,
            request_serializer=lrs_pb2.LoadStatsRequest.SerializeToString,
            response_deserializer=lrs_pb2.LoadStatsResponse.FromString,
        )
        call = method(iter(messages), timeout=LIMIT)
        try:
            answers += call
        except grpc.RpcError as error:
            return answers, error.code()
    return answers, grpc.StatusCode.OK


def calls(name: str, good: int, failed: int = 0, dropped: int = 0) -> lrs_pb2.LoadStatsRequest:
    locality = load_report_pb2.UpstreamLocalityStats(
        total_successful_requests=good, total_error_requests=failed, total_issued_requests=good + failed
    )
    stats = load_report_pb2.ClusterStats(
        cluster_name=name, upstream_locality_stats=[locality], total_dropped_requests=dropped
    )
    return lrs_pb2.LoadStatsRequest(cluster_stats=[stats])


@rule(87, [SOTW_ADS])
def load_reports(t: Case) -> None:
    """clusters of gRPC programs ask for load reports, from where they came; the service counts what programs may know"""
    c = grpc_client(t, namespace=NAMESPACE)
    first(c)
    c.ask(CDS, [cluster("a")])
    got = c.expect(CDS)
    check(got.resources[cluster("a")].lrs_server.HasField("self"), "lrs_server.self")
    hello = lrs_pb2.LoadStatsRequest(node=c.node)
    answers, code = reports(t, hello, calls(cluster("a"), 6, 1, 1))
    equal((len(answers), code), (1, grpc.StatusCode.OK), "answers to a program, and the end of its stream")
    check(answers[0].send_all_clusters, "send_all_clusters")
    equal(answers[0].load_reporting_interval.ToSeconds(), 10, "seconds between two reports")
    # Names become known once a second.
    until("the service is in the topology", lambda: SERVICE_NODE in (t.server.get("/api/v1/topology") or ""))

    def seen() -> bool:
        reports(t, hello, calls(cluster("a"), 6, 1, 1))
        return edge(t.server, "a") is not None

    until("the edge is in the topology", seen)
    found = edge(t.server, "a") or {}
    equal((found["kind"], found["protocol"], found["errors"]), ("observed", "grpc", 0.25), "the edge")
    check(found["rate"] > 0 and "p99" not in found, "it has a rate, and no times that nobody measured")
    refused = "isthmus_load_report_dropped_total"
    before = t.server.metric(refused, reason="unknown")
    lies = [calls("service/elsewhere/a/80", 1), calls("service/shop/nosuch/80", 1), calls("x" * 70_000, 1)]
    equal(reports(t, hello, *lies)[1], grpc.StatusCode.OK, "clusters that it cannot know")
    equal(t.server.metric(refused, reason="unknown") - before, 3, "reports of clusters that it cannot know")
    reports(t, hello, calls(cluster("b"), 2**64 - 1))
    equal(t.server.metric(refused, reason="implausible"), 1, "calls that nobody can have made")
    check(edge(t.server, "b") is None, "no edge from any of that")
    gateway = t.client("edge-1").node
    for who in (gateway, None):
        code = reports(t, lrs_pb2.LoadStatsRequest(node=who), calls(cluster("a"), 1))[1]
        equal(code, grpc.StatusCode.INVALID_ARGUMENT, "an Envoy, which writes access logs, or nobody")
