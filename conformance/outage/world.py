"""What stands before each scenario: a gateway of two Envoys in namespace shop, and what its routes lead to."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from typing import Any

from cluster import Cluster, ApiServer, Failed, Object, condition, eventually, is_current, make
from isthmus import Replicas
from load import Target, once

CLASS = "isthmus"
ENVOYS = 2
# Pods drain this long, so that a rolling update is over soon; more than any load balancer of the bed takes to notice.
DRAIN = 8
# Beside an API server on few cores; what is measured is in the report.
LIMIT = 90


def gateway(namespace: str, name: str = "edge") -> list[Object]:
    """Two Envoys of its own."""
    envoys = {"replicas": ENVOYS, "envoy": {"concurrency": 1, "logLevel": "warn"}, "drain": {"seconds": DRAIN}}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    spec = {
        "gatewayClassName": CLASS,
        "infrastructure": {"parametersRef": {"group": "isthmus.dev", "kind": "GatewayConfig", "name": name}},
        "listeners": [listener],
    }
    return [make("GatewayConfig", namespace, name, spec=envoys), make("Gateway", namespace, name, spec=spec)]


def echo(namespace: str, name: str = "echo", replicas: int = 2) -> list[Object]:
    field = lambda path: {"valueFrom": {"fieldRef": {"fieldPath": path}}}  # noqa: E731
    container = {
        "name": "echo",
        "image": "gateway-api/echo-basic:v1",
        "env": [{"name": "POD_NAME", **field("metadata.name")}, {"name": "NAMESPACE", **field("metadata.namespace")}],
        "ports": [{"containerPort": 3000}],
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    port = {"name": "http", "port": 80, "targetPort": 3000}
    return [
        make("Deployment", namespace, name, spec=spec),
        make("Service", namespace, name, spec={"selector": {"app": name}, "ports": [port]}),
    ]


def route(namespace: str, name: str, host: str, service: str = "echo", parents: tuple[str, ...] = ("shop/edge",)) -> Object:
    refs = [dict(zip(("namespace", "name"), parent.split("/"))) for parent in parents]
    rule = {"backendRefs": [{"name": service, "port": 80}]}
    return make("HTTPRoute", namespace, name, spec={"parentRefs": refs, "hostnames": [host], "rules": [rule]})


class World:
    def __init__(self) -> None:
        self.cluster = Cluster()
        self.server = ApiServer(self.cluster)
        self.replicas = Replicas(self.cluster)
        self.address = ""

    def up(self) -> None:
        self.replicas.start()
        self.cluster.apply(
            make("GatewayClass", "", CLASS, spec={"controllerName": "isthmus.dev/gateway-controller"}),
            make("Namespace", "", "shop"),
            *gateway("shop"),
            *echo("shop"),
            route("shop", "echo", "shop.example.com"),
        )
        self.address = self.wait_gateway("shop", "edge")
        self.wait_answer(self.target())

    def target(self, host: str = "shop.example.com", namespace: str = "shop", address: str = "") -> Target:
        return Target(address or self.address, host, namespace)

    def settle(self) -> None:
        """Whatever came before, all is well now."""
        for replica in self.replicas.all:
            replica.wait_ready()
            eventually(f"replica {replica.name} is live", LIMIT, replica.live)
        self.replicas.wait_leader(LIMIT)
        eventually("the replicas serve the same", LIMIT, self.replicas.agree)
        self.wait_envoys("shop", "edge")
        self.wait_answer(self.target())

    def wait_gateway(self, namespace: str, name: str, limit: float = LIMIT) -> str:
        """Its address, once it is programmed and has all its Envoys."""

        def look() -> str | None:
            thing = self.cluster.get("Gateway", namespace, name)
            status = (thing or {}).get("status", {})
            if not thing or not is_current(thing, condition(status.get("conditions", []), "Programmed")):
                return None
            addresses = status.get("addresses", [])
            return addresses[0]["value"] if addresses else None

        address = eventually(f"Gateway {namespace}/{name} is programmed", limit, look)[0]
        self.wait_envoys(namespace, name, limit)
        assert address is not None
        return address

    def wait_envoys(self, namespace: str, name: str, limit: float = LIMIT) -> float:
        """All of them are there and in step."""
        gateway = f"{namespace}/{name}"

        def look() -> bool:
            deployment = self.cluster.get("Deployment", namespace, f"{name}-{CLASS}") or {}
            status, spec = deployment.get("status", {}), deployment["spec"]
            rolled = (
                status.get("observedGeneration") == deployment["metadata"]["generation"]
                and status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == spec["replicas"]
            )
            return rolled and self.in_step(gateway) >= spec["replicas"]

        return eventually(f"the Envoys of {gateway} are in step", limit, look)[1]

    def in_step(self, gateway: str) -> int:
        return sum(proxy["inStep"] for proxy in self.replicas.proxies(gateway))

    def wait_answer(self, target: Target, limit: float = LIMIT) -> float:
        def look() -> str:
            try:
                return once(target, 5)
            except (ValueError, KeyError) as error:
                raise http.client.HTTPException(str(error)) from error

        return eventually(f"{target.host} is answered", limit, look)[1]

    def route_accepted(self, namespace: str, name: str, kind: str = "HTTPRoute") -> bool:
        thing = self.cluster.get(kind, namespace, name)
        parents = (thing or {}).get("status", {}).get("parents", [])
        return bool(thing and parents) and all(
            is_current(thing, condition(parent["conditions"], what))
            for parent in parents
            for what in ("Accepted", "ResolvedRefs")
        )

    def wait_route(self, namespace: str, name: str, limit: float = LIMIT) -> float:
        return eventually(f"HTTPRoute {namespace}/{name} is accepted", limit, lambda: self.route_accepted(namespace, name))[1]

    def envoys(self, namespace: str, name: str) -> list[Object]:
        """Pods that run and are not on their way out."""
        pods = self.cluster.list("Pod", namespace, f"gateway.networking.k8s.io/gateway-name={name}")
        return [p for p in pods if p["status"].get("phase") == "Running" and not p["metadata"].get("deletionTimestamp")]

    def remove(self, *objects: Object) -> None:
        for thing in objects:
            self.cluster.delete(thing["kind"], thing["metadata"].get("namespace", ""), thing["metadata"]["name"])


def network_of(address: str) -> str:
    """The network namespace of the pod with this address."""
    for line in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.splitlines():
        name = line.split()[0]
        shown = subprocess.run(["ip", "-netns", name, "-4", "-o", "address"], capture_output=True, text=True, check=False)
        if f" {address}/" in shown.stdout:
            return name
    raise Failed(f"no pod has the address {address}")


def processes_of(address: str) -> list[int]:
    name = network_of(address)
    out = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
    return [int(word) for word in out.split()]


def admin(address: str, path: str) -> Any:
    """Envoy's own word, which can be had from inside its pod only."""
    command = ["ip", "netns", "exec", network_of(address), "curl", "--silent", "--fail", "--max-time", "10"]
    out = subprocess.run([*command, f"http://127.0.0.1:19000{path}"], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def gateways_processes() -> int:
    """Envoys that run on this machine, in whichever pod."""
    found = subprocess.run(["pgrep", "-cx", "envoy"], capture_output=True, text=True, check=False).stdout
    return int(re.match(r"\d+", found.strip() or "0")[0])  # type: ignore[index]


