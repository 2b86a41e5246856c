"""Scenarios 66 to 68, and more on rules 82 to 87: clients that are gRPC programs and have no Envoy beside them."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from case import SOTW_ADS, Case, rule, scenario
from client import Client
from follower import clusters_of
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS
from world import NAMESPACE

# How such a client says who it is, and the name that it dials for service `a` (channel `xds:///…`).
CLAIM: dict[str, Any] = {"role": "grpc"}
SERVICE = f"a.{NAMESPACE}:80"


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


@rule(86, [SOTW_ADS], also=[87])
def nothing_that_grpc_refuses_in_a_cluster(t: Case) -> None:
    """clusters of gRPC programs: no transport socket, no server for load reports"""
    c = grpc_client(t)
    cluster_behind(c, first(c).resources[SERVICE])
    t.world.change_cluster("a")
    t.commit("the service speaks HTTP/2")
    got = c.expect(CDS)
    for cluster in got.resources.values():
        check(not cluster.HasField("transport_socket"), "rule 86: TLS by whatever else than a provider instance")
        check(not cluster.HasField("lrs_server"), "rule 87: load reports that nobody takes")
        equal(cluster.lb_policy, 0, "ROUND_ROBIN, which every gRPC client knows")
