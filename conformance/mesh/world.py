"""What stands before each scenario.

    client ─► edge ─► web-1 (shop) ─► orders-1, orders-2 (shop) ─► stock-1 (store)
              Gateway   every application with an Envoy of its own before it
    legacy: no sidecar, no mesh; calls in and is called         billing-1: no pod of Kubernetes, a MeshService leads to it
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import by_hand
from case import Failed, eventually
from isthmus import XDS_PORT, Isthmus, Json, make
from names import NameServer
from net import BRIDGE4, PUBLIC, bridge, run
from pod import ENVOY_USER, Answer, Machine, Pod, publish

LIMIT = 30
BY_HAND = bool(os.environ.get("MESH_BY_HAND"))
GATEWAY_CLASS = make("GatewayClass", "", "isthmus", spec={"controllerName": "isthmus.dev/gateway-controller"})
# Of every service: what is declared, what is not.
PORTS = [
    {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "appProtocol": "http"},
    {"name": "any", "port": 81, "targetPort": 8081, "protocol": "TCP"},
    {"name": "tcp-line", "port": 9090, "targetPort": 9090, "protocol": "TCP"},
]

# Everybody knows both namespaces.
SCOPES = [make("SidecarScope", namespace, "default", spec={"egress": [{"hosts": ["shop/*", "store/*"]}]}) for namespace in ("shop", "store")]


def service(namespace: str, app: str, number: int) -> Json:
    v4, v6 = f"10.96.0.{number}", f"fd00:96::{number:x}"
    spec = {"clusterIP": v4, "clusterIPs": [v4, v6], "ipFamilies": ["IPv4", "IPv6"], "selector": {"app": app}, "ports": PORTS}
    return make("Service", namespace, app, spec=spec)


def slices(namespace: str, app: str, pods: list[Pod]) -> list[Json]:
    out = []
    for family in ("IPv4", "IPv6"):
        ends = [
            {
                "addresses": [pod.v4 if family == "IPv4" else pod.v6],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace},
            }
            for pod in pods
        ]
        ports = [{"name": port["name"], "port": port["targetPort"], "protocol": "TCP"} for port in PORTS]
        labels = {"kubernetes.io/service-name": app}
        out.append(make("EndpointSlice", namespace, f"{app}-{family.lower()}", metadata={"labels": labels}, addressType=family, ports=ports, endpoints=ends))
    return out


def edge(listeners: list[Json] | None = None) -> Json:
    usual = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return make("Gateway", "shop", "edge", spec={"gatewayClassName": "isthmus", "listeners": listeners or [usual]})


def route(namespace: str, name: str, parent: Json, backend: str, *, headers: dict[str, str] | None = None, backend_kind: tuple[str, str] = ("", "Service"), **spec: Any) -> Json:
    rule: Json = {"backendRefs": [{"group": backend_kind[0], "kind": backend_kind[1], "name": backend, "port": 80}]}
    if headers:
        edit = {"set": [{"name": key, "value": value} for key, value in headers.items()]}
        rule["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": edit}]
    return make("HTTPRoute", namespace, name, spec={"parentRefs": [parent], "rules": [rule], **spec})


def of_service(name: str, namespace: str = "", **more: Any) -> Json:
    return {"group": "", "kind": "Service", "name": name, **({"namespace": namespace} if namespace else {}), **more}


def access(namespace: str, name: str, target: str, action: str, *rules: Json, port: str = "", **more: Any) -> Json:
    """For a service, or for one of its ports by name."""
    ref = of_service(target, **({"sectionName": port} if port else {}))
    return make("AccessPolicy", namespace, name, spec={"targetRefs": [ref], "action": action, "rules": list(rules), **more})


class World:
    def __init__(self) -> None:
        self.isthmus = Isthmus()
        self.pods: dict[str, Pod] = {}
        self.services: dict[tuple[str, str], int] = {}
        self.next_number = 40

    def up(self) -> None:
        bridge()
        publish()
        self.isthmus.prepare()
        self.edge = Machine("edge", 10)
        for name, number, app, namespace in (
            ("web-1", 11, "web", "shop"),
            ("orders-1", 12, "orders", "shop"),
            ("orders-2", 13, "orders", "shop"),
            ("stock-1", 14, "stock", "store"),
        ):
            self.pods[name] = Pod(name, number, app, namespace)
        self.legacy = Pod("legacy", 90, "legacy", "", mesh=False)
        self.billing = Pod("billing-1", 20, "billing", "", mesh=False)
        self.services = {("shop", "web"): 11, ("shop", "orders"): 12, ("store", "stock"): 14}
        # What the name server of a cluster knows as well.
        table = {f"{app}.{namespace}.svc.cluster.local": (f"10.96.0.{n}", f"fd00:96::{n:x}") for (namespace, app), n in self.services.items()}
        self.names = NameServer({"legacy.example.com": (self.legacy.v4, self.legacy.v6), **table})
        folder = self.isthmus.folder
        folder.put(
            "base",
            *(make("Namespace", "", name) for name in ("shop", "store")),
            GATEWAY_CLASS,
            edge(),
            route("shop", "edge", {"name": "edge"}, "web"),
            *(service(namespace, app, number) for (namespace, app), number in self.services.items()),
            make("MeshService", "shop", "billing", spec={
                "hosts": ["billing.corp"],
                "ports": [{"port": 80, "targetPort": 8080, "protocol": "HTTP"}],
                "sources": [{"static": {"endpoints": [{"address": self.billing.v4}]}}],
            }),
        )
        folder.put("scope", *SCOPES)
        self.tell_pods()
        self.isthmus.write_grants()
        for machine in (self.edge, *self.pods.values()):
            self.admit(machine)
        self.isthmus.start()
        for machine in (self.edge, *self.pods.values()):
            self.launch(machine)
        for machine in (self.edge, *self.pods.values()):
            machine.wait_live(LIMIT)

    def tell_pods(self) -> None:
        """What the API server would know of the pods that are there."""
        out = [pod.document() for pod in self.pods.values() if not pod.registry]
        for namespace, app in self.services:
            out += slices(namespace, app, [pod for pod in self.pods.values() if (pod.namespace, pod.app) == (namespace, app)])
        self.isthmus.folder.put("pods", *out)

    def vip(self, app: str, family: int = 4) -> str:
        number = next(number for (_, name), number in self.services.items() if name == app)
        return f"10.96.0.{number}" if family == 4 else f"[fd00:96::{number:x}]"

    # Envoys.

    def token(self, machine: Machine) -> Path:
        return machine.folder / "token"

    def admit(self, machine: Machine) -> None:
        """A join token of its own, for what it is."""
        if isinstance(machine, Pod):
            if BY_HAND:
                return
            self.isthmus.join(machine.identity_words(), self.token(machine), ENVOY_USER)
        else:
            self.isthmus.let_in("shop/edge", self.token(machine), ENVOY_USER)

    def bootstrap(self, machine: Machine, token: Path | None) -> Json:
        words: list[object] = ["--xds", f"{BRIDGE4}:{XDS_PORT}", "--xds-ca", self.isthmus.pki / "ca.crt", "-o", "json"]
        if token:
            words += ["--token-file", token]
        if isinstance(machine, Pod):
            who = ["--registry", machine.registry, "--service", machine.app] if machine.registry else ["--account", machine.account, "--pod", machine.name]
            words += ["--role", "sidecar", "--namespace", machine.namespace, *who, "--ip", machine.v4, *(word for label in machine.labels.items() for word in ("--label", "=".join(label)))]
        else:
            words += ["--gateway", "shop/edge", "--admin-port", machine.admin_port]
        return json.loads(run(PUBLIC / "isthmus", "bootstrap", *words))

    def launch(self, machine: Machine, token: Path | None = None) -> None:
        if BY_HAND and isinstance(machine, Pod):
            machine.start_envoy(by_hand.of_world(self))
            self.capture(machine)
            return
        machine.start_envoy(self.bootstrap(machine, token or self.token(machine)), os.environ.get("MESH_ENVOY_LOG", "warning"))
        if isinstance(machine, Pod):
            self.capture(machine)

    @staticmethod
    def capture(pod: Pod) -> None:
        """As the init container does it: as root, in the pod's network."""
        said = pod.run(PUBLIC / "isthmus", "capture")
        if said.strip() != "captured":
            raise Failed(f"isthmus capture in {pod.name}: {said}")

    def add(self, pod: Pod) -> Pod:
        """One more, of which everybody is told."""
        self.pods[pod.name] = pod
        reads = self.isthmus.reloads()
        self.admit(pod)
        eventually("the new grant is known", LIMIT, lambda: self.isthmus.reloads() > reads)
        self.launch(pod)
        pod.wait_live(LIMIT)
        self.tell_pods()
        return pod

    def take(self, *names: str) -> None:
        for name in names:
            pod = self.pods.pop(name)
            self.tell_pods()
            # As a pod that ends goes on serving until it is nobody's endpoint any more.
            machines = [self.edge, *self.pods.values()]
            eventually(f"nobody calls {name} any more", LIMIT, lambda p=pod: not any(m.has_endpoint(p.v4) for m in machines))
            pod.remove()

    def settle(self) -> None:
        """Whatever came before, all is well now."""
        eventually("the chain answers", LIMIT, lambda: self.chain_good(self.pods["web-1"].call(self.orders_url(), self.stock_url())))

    @staticmethod
    def orders_url(path: str = "/") -> str:
        return f"http://orders.shop.svc.cluster.local{path}"

    @staticmethod
    def stock_url(path: str = "/") -> str:
        return f"http://stock.store.svc.cluster.local{path}"

    @staticmethod
    def chain_good(said: Answer) -> bool:
        return said.get("status") == 200 and said["body"]["next"]["status"] == 200
