"""Sidecars written by hand, to know that the judge's own network, applications and checks are right: `judge.py --by-hand`."""

from __future__ import annotations

from typing import Any

from pod import ADMIN

Json = dict[str, Any]


def typed(name: str, kind: str, **fields: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.{kind}", **fields}}


def address(ip: str, port: int) -> Json:
    return {"socket_address": {"address": ip, "port_value": port, "ipv4_compat": ip == "::"}}


def manager(prefix: str, hosts: list[Json], prefix_of: str = "") -> Json:
    router = typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")
    return typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=prefix,
        http_filters=[router],
        route_config={"name": prefix, "virtual_hosts": hosts},
    )


def virtual_host(name: str, domains: list[str], cluster: str, **header: str) -> Json:
    added = [{"header": {"key": key.replace("_", "-"), "value": value}} for key, value in header.items()]
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster}, "request_headers_to_add": added}
    return {"name": name, "domains": domains, "routes": [route]}


def guarded(host: Json) -> Json:
    """As a policy would."""
    host["routes"].insert(0, {"match": {"prefix": "/forbidden"}, "direct_response": {"status": 403}})
    return host


def pass_through(name: str = "passthrough", source: str = "") -> Json:
    out: Json = {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s"}
    if source:
        twin = {"address": {"address": "::6", "port_value": 0}}
        out["upstream_bind_config"] = {"source_address": {"address": source, "port_value": 0}, "extra_source_addresses": [twin]}
    return out


def sidecar(services: dict[str, tuple[str, str, list[str]]], names: dict[str, str], resolver: str) -> Json:
    """Services by name: their addresses, and their pods."""
    hosts, clusters = [], [pass_through(), pass_through("inbound", "127.0.0.6")]
    for name, (v4, v6, pods) in services.items():
        picked = [f"{pod}:8080" if "." in pod else f"[{pod}]:8080" for pod in pods]
        domains = [name, f"{name}.svc.cluster.local", name.partition(".")[0], f"{name}:80", v4, f"{v4}:80", f"[{v6}]", f"[{v6}]:80"]
        hosts.append(virtual_host(name, domains, name, x_route="producer"))
        hosts.append(virtual_host(f"{name}-picked", picked, "passthrough", x_route="producer"))
        ends = [{"endpoint": {"address": address(pod, 8080)}} for pod in pods if "." in pod]
        clusters.append({"name": name, "connect_timeout": "2s", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": ends}]}})
    hosts.append(virtual_host("unknown", ["*"], "passthrough"))
    tcp = lambda cluster: typed(  # noqa: E731
        "envoy.filters.network.tcp_proxy", "extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=cluster, cluster=cluster
    )
    original = typed("envoy.filters.listener.original_dst", "extensions.filters.listener.original_dst.v3.OriginalDst")
    table = [
        {"name": name, "endpoint": {"address_list": {"address": [v4, v6]}}, "answer_ttl": "30s"}
        for name, (v4, v6, _) in ((f"{n}.svc.cluster.local", services[n]) for n in names.values())
    ]
    dns = typed(
        "envoy.filters.udp.dns_filter",
        "extensions.filters.udp.dns_filter.v3.DnsFilterConfig",
        stat_prefix="dns",
        server_config={"inline_dns_table": {"virtual_domains": table}},
        client_config={"max_pending_lookups": 256, "dns_resolution_config": {"resolvers": [address(resolver, 53)]}},
    )
    dns_listener: Json = address("0.0.0.0", 15053)
    dns_listener["socket_address"]["protocol"] = "UDP"
    return {
        "admin": {"address": address("127.0.0.1", ADMIN)},
        "static_resources": {
            "listeners": [
                {"name": "outbound", "address": address("::", 15001), "use_original_dst": True, "listener_filters": [original], "filter_chains": [{"filters": [tcp("passthrough")]}]},
                *(
                    {
                        "name": f"outbound/{port}",
                        "address": address("::", port),
                        "bind_to_port": False,
                        "filter_chains": [{"filters": [manager(f"outbound/{port}", hosts)]}],
                    }
                    for port in (80, 8080)
                ),
                {
                    "name": "inbound",
                    "address": address("::", 15006),
                    "listener_filters": [original],
                    "filter_chains": [
                        {
                            "filter_chain_match": {"destination_port": 8080},
                            "filters": [manager("inbound", [guarded(virtual_host("app", ["*"], "inbound"))])],
                        }
                    ],
                    "default_filter_chain": {"filters": [tcp("inbound")]},
                },
                {"name": "dns", "address": dns_listener, "listener_filters": [dns]},
            ],
            "clusters": clusters,
        },
    }


def of_world(world: Any) -> Json:
    services = {}
    for (namespace, app), number in world.services.items():
        pods = [pod for pod in world.pods.values() if pod.app == app]
        services[f"{app}.{namespace}"] = (f"10.96.0.{number}", f"fd00:96::{number:x}", [a for pod in pods for a in (pod.v4, pod.v6)])
    return sidecar(services, {name: name for name in services}, "10.244.0.1")
