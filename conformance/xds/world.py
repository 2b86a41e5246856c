"""The documents of a small world: services, routes, listeners and certificates as a user would write them.

One route for each service, so that "cluster a exists" is one word; names on the wire come from the functions below.
Everything stands in one file, so that one rename is one commit.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from certificates import Certificate

NAMESPACE = "shop"
GATEWAY = "edge"
CONTROLLER = "isthmus.dev/gateway-controller"
API = "gateway.networking.k8s.io/v1"


def cluster(service: str) -> str:
    """Also the name of its assignment."""
    return f"service/{NAMESPACE}/{service}/80"


def listener(port: int) -> str:
    return f"listener/{port}"


def table(port: int) -> str:
    return f"http/{port}"


def secret(name: str) -> str:
    return f"secret/{NAMESPACE}/{name}"


@dataclass
class Service:
    endpoints: list[str] = field(default_factory=lambda: ["10.0.0.1"])
    # Speaks HTTP/2: what a change of the cluster itself looks like.
    http2: bool = False
    # Where the endpoints listen.
    target: int = 8080


@dataclass
class Route:
    to: list[str]
    # Name of the listener; all listeners if empty.
    listener: str = ""
    timeout: str = ""


@dataclass
class Listener:
    port: int
    certificate: str = ""


@dataclass
class World:
    listeners: dict[str, Listener] = field(default_factory=lambda: {"web": Listener(8001)})
    services: dict[str, Service] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    secrets: dict[str, Certificate] = field(default_factory=dict)
    # Without it the world is an addition to another one.
    head: bool = True
    # Addresses given out by `change_endpoints`.
    changes: int = 1

    @staticmethod
    def of(*services: str) -> World:
        world = World()
        for name in services:
            world.add(name)
        return world

    def add(self, name: str, *endpoints: str, listener: str = "") -> None:
        """A cluster: the service and a route to it."""
        self.services[name] = Service(list(endpoints) or ["10.0.0.1"])
        self.routes[name] = Route([name], listener)

    def drop(self, name: str) -> None:
        del self.services[name]
        del self.routes[name]

    def change_cluster(self, name: str) -> None:
        self.services[name].http2 = not self.services[name].http2

    def change_endpoints(self, name: str) -> None:
        """Another address, never one that was there before."""
        self.changes += 1
        number = self.changes
        self.services[name].endpoints = [f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"]

    def change_route(self, name: str) -> None:
        route = self.routes[name]
        seconds = int(route.timeout.rstrip("s") or 10)
        route.timeout = f"{seconds + 1}s"

    def secure(self, name: str, port: int, certificate: Certificate) -> None:
        """A TLS listener with a certificate, both of this name."""
        self.listeners[name] = Listener(port, certificate=name)
        self.secrets[name] = certificate

    def text(self) -> str:
        # JSON is YAML, one document a line.
        return "".join(f"---\n{json.dumps(document)}\n" for document in self.documents())

    def documents(self) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        if self.head:
            spec: dict[str, Any] = {"controllerName": CONTROLLER}
            out.append({"apiVersion": API, "kind": "GatewayClass", "metadata": {"name": "isthmus"}, "spec": spec})
            listeners = [_listener(name, value) for name, value in self.listeners.items()]
            spec = {"gatewayClassName": "isthmus", "listeners": listeners}
            out.append(_document(API, "Gateway", GATEWAY, spec=spec))
        out += [_route(name, value) for name, value in self.routes.items()]
        for name, value in self.services.items():
            out += _service(name, value)
        for name, certificate in self.secrets.items():
            data = {"tls.crt": _base64(certificate.chain), "tls.key": _base64(certificate.key)}
            out.append(_document("v1", "Secret", name, type="kubernetes.io/tls", data=data))
        return out


def _document(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}} | rest


def _listener(name: str, value: Listener) -> dict[str, Any]:
    out: dict[str, Any] = {"name": name, "port": value.port, "protocol": "HTTPS" if value.certificate else "HTTP"}
    if value.certificate:
        out["tls"] = {"certificateRefs": [{"name": value.certificate}]}
    return out


def _route(name: str, value: Route) -> dict[str, Any]:
    rule: dict[str, Any] = {"backendRefs": [{"name": service, "port": 80} for service in value.to]}
    if value.timeout:
        rule["timeouts"] = {"request": value.timeout}
    parent = {"name": GATEWAY} | ({"sectionName": value.listener} if value.listener else {})
    return _document(
        API, "HTTPRoute", name, spec={"parentRefs": [parent], "hostnames": [f"{name}.example.com"], "rules": [rule]}
    )


def _service(name: str, value: Service) -> list[dict[str, Any]]:
    port: dict[str, Any] = {"port": 80, "targetPort": value.target}
    if value.http2:
        port["appProtocol"] = "kubernetes.io/h2c"
    out = [_document("v1", "Service", name, spec={"ports": [port]})]
    if value.endpoints:
        endpoints = [{"addresses": [address]} for address in value.endpoints]
        rest = {"addressType": "IPv4", "ports": [{"port": value.target}], "endpoints": endpoints}
        slice_ = _document("discovery.k8s.io/v1", "EndpointSlice", f"{name}-1", **rest)
        slice_["metadata"]["labels"] = {"kubernetes.io/service-name": name}
        out.append(slice_)
    return out


def _base64(text: bytes) -> str:
    return base64.b64encode(text).decode()
