"""Scenarios 66 to 68: clients that are gRPC programs and have no Envoy beside them."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from case import SOTW_ADS, Case, scenario
from client import Client
from follower import clusters_of
from stream import End
from verdict import NotYet, check, equal
from wire import CDS, EDS, LDS, RDS
from world import NAMESPACE

# How such a client says who it is, and the name that it dials for service `a` (channel `xds:///…`).
CLAIM: dict[str, Any] = {"role": "grpc"}
SERVICE = f"a.{NAMESPACE}:80"


def grpc_client(t: Case) -> Client:
    t.serve("a", "b")
    c = t.client("grpc-1", isthmus=CLAIM)
    c.ask(LDS, [SERVICE])
    return c


def first(c: Client) -> Any:
    got = c.next(within=2)
    if isinstance(got, End):
        raise NotYet(f"role grpc is refused: {got.details}")
    if got is None or not got.names:
        raise NotYet(f"role grpc is taken, but there is no listener {SERVICE}")
    return got


def cluster_behind(c: Client, listener: Any) -> str:
    """Follows the listener as a gRPC client does, up to CDS and EDS; returns the cluster."""
    manager = http_connection_manager_pb2.HttpConnectionManager()
    check(listener.api_listener.api_listener.Unpack(manager), "rule 83: api_listener holds a connection manager")
    table = manager.route_config
    if manager.HasField("rds"):
        check(manager.rds.config_source.HasField("ads"), "rule 82: the source of RDS is ads")
        c.ask(RDS, [manager.rds.route_config_name])
        routes = c.expect(RDS)
        c.ack(routes)
        table = routes.resources[manager.rds.route_config_name]
    name = sorted(clusters_of(table))[0]
    c.ask(CDS, [name])
    clusters = c.expect(CDS)
    equal(clusters.names, [name], "clusters")
    check(clusters.resources[name].eds_cluster_config.eds_config.HasField("ads"), "rule 82: the source of EDS is ads")
    c.ack(clusters)
    return name


@scenario(66, [82, 83], [SOTW_ADS])
def listener_of_a_service(t: Case) -> None:
    """names={svc} / Listener named exactly svc; other listeners left out"""
    c = grpc_client(t)
    got = first(c)
    equal(got.names, [SERVICE], "listeners")
    c.ack(got)
    name = cluster_behind(c, got.resources[SERVICE])
    c.ask(EDS, [name])
    assignment = c.expect(EDS).resources[name]
    for locality in assignment.endpoints:
        check(locality.HasField("load_balancing_weight"), "rule 84: a locality without weight is skipped")


@scenario(67, [84], [SOTW_ADS])
def last_assignment_dropped(t: Case) -> None:
    """last EDS name dropped, names=[] / nothing sent; asked again / sent"""
    c = grpc_client(t)
    got = first(c)
    c.ack(got)
    name = cluster_behind(c, got.resources[SERVICE])
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
    c.ack(first(c))
    c.ask(LDS, [SERVICE, "nosuch"])
    answer = c.maybe(LDS)
    check(answer is None or "nosuch" not in answer.names, "nothing comes under that name")
    check(answer is None or SERVICE in answer.names, "the other name stays in a full response")
