"""What lies in the API server: a Gateway, routes, Services and their endpoints, made from numbers."""

from __future__ import annotations

from cluster import Object, make

NAMESPACE = "bench"
CLASS = "isthmus"
PORT = 8080
ENDPOINTS = 10
# Every address of these is this machine, so that all endpoints are one server.
NETWORKS = ("10.128.0.0/10", "10.192.0.0/11")


def host(i: int) -> str:
    return f"r{i:04}.example.com"


def name(i: int) -> str:
    return f"s{i:04}"


def addresses(i: int, turn: int) -> list[str]:
    """Those of a service; each of nine turns has others."""
    return [f"10.{128 + turn % 9 * ENDPOINTS + k}.{i // 256}.{i % 256}" for k in range(ENDPOINTS)]


def gateway(listeners: list[str] | None = None) -> list[Object]:
    config = {"replicas": 1, "envoy": {"concurrency": 1, "logLevel": "warn"}}
    shape = {"port": 80, "protocol": "HTTP"}
    hosts = [{"name": f"more-{i}", "hostname": one, **shape} for i, one in enumerate(listeners or [])]
    spec = {
        "gatewayClassName": CLASS,
        "infrastructure": {"parametersRef": {"group": "isthmus.dev", "kind": "GatewayConfig", "name": "edge"}},
        "listeners": [{"name": "http", **shape}, *hosts],
    }
    return [make("GatewayConfig", NAMESPACE, "edge", spec=config), make("Gateway", NAMESPACE, "edge", spec=spec)]


def service(i: int) -> Object:
    return make("Service", NAMESPACE, name(i), spec={"ports": [{"name": "http", "port": 80, "targetPort": PORT}]})


def slice_of(i: int, turn: int) -> Object:
    out = make(
        "EndpointSlice",
        NAMESPACE,
        f"{name(i)}-0",
        addressType="IPv4",
        ports=[{"name": "http", "port": PORT, "protocol": "TCP"}],
        endpoints=[{"addresses": [one], "conditions": {"ready": True}} for one in addresses(i, turn)],
    )
    out["metadata"]["labels"] = {"kubernetes.io/service-name": name(i)}
    return out


def route(i: int, mark: str = "") -> Object:
    rule: Object = {"backendRefs": [{"name": name(i), "port": 80}]}
    if mark:
        rule["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "mark", "value": mark}]}}]
    spec = {"parentRefs": [{"name": "edge"}], "hostnames": [host(i)], "rules": [rule]}
    return make("HTTPRoute", NAMESPACE, name(i), spec=spec)
