"""Identity between sidecars: Strict lets in whom the policies name, refuses others and refuses what is not the mesh's TLS; from Permissive to Strict only the plaintext client fails, and only then; policies change on open connections."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from case import Case, eventually
from isthmus import Json, make
from pod import DRAIN, Answer, Machine, Pod
from world import LIMIT, World, access, of_service

WEB = "cluster.local/ns/shop/sa/web"


def peer(namespace: str, name: str, target: str, mtls: str, **more: Any) -> Json:
    return make("PeerPolicy", namespace, name, spec={"targetRefs": [of_service(target)], "mtls": mtls, **more})


def status(said: Answer) -> Any:
    return said.get("status", "refused")


def play(world: World, case: Case) -> None:
    web, orders, stock, legacy = world.pods["web-1"], world.pods["orders-1"], world.pods["stock-1"], world.legacy
    folder = world.isthmus.folder
    plain = f"http://{orders.v4}:8080/"
    who_is_who(world, case)

    # Permissive to Strict.
    case.equal("Permissive: a plaintext client is served", status(legacy.call(plain)), 200)
    with legacy.load(20, plain) as outside, web.load(50, world.orders_url()) as inside:
        time.sleep(3)
        folder.put("mtls", peer("shop", "orders", "orders", "Strict"))
        told = time.time()
        took = eventually("plaintext is refused", LIMIT, lambda: "error" in legacy.call(plain))[1]
        time.sleep(DRAIN + 3)
    case.check("Strict: new plaintext connections are refused", True, f"{took:.1f} s after the edit")
    before, after = outside.failed(0, told), outside.failed(told)
    case.check("... the plaintext client failed only after that", not before and after, f"{len(before)} before, {len(after)} after")
    case.check("... and 0 requests of a sidecar failed", inside.said["failed"] == 0, inside.failed()[:3] or "")
    case.figure(outside.figures())
    case.figure(inside.figures())
    last = outside.said["last"] - told
    case.check(f"... connections that were open end with the drain time of {DRAIN} s", last < DRAIN + 2, f"the last answer {last:.1f} s after the edit")
    case.check("TCP without TLS is refused too", "error" in legacy.tcp(f"{orders.v4}:9090"), "")
    case.check("... and at ports of no service", "error" in legacy.call({"tcp": f"{orders.v4}:9091", "quiet": True}), "")
    case.equal("TCP between sidecars goes on", web.tcp(f"{world.vip('orders')}:9090").get("app"), "orders")

    # Who.
    folder.put("mtls-access", access("shop", "orders-allow", "orders", "Allow", {"from": [{"principals": [WEB]}]}))
    case.eventually("another identity gets 403", LIMIT, lambda: status(stock.call(world.orders_url())) == 403)
    for way, url in (("by name", world.orders_url()), ("by ip:port", plain), ("by [IPv6]:port", f"http://[{orders.v6}]:8080/")):
        case.equal(f"the right identity gets 200, {way}", status(web.call(url)), 200)
        case.equal("... another 403", status(stock.call(url)), 403)
        case.equal("... plaintext nothing", status(legacy.call(url) if "svc" not in url else legacy.call(plain)), "refused")
    # Each is a handshake of its own: a session that is resumed is as good as a new one, or there is none.
    for address in (f"{world.vip('orders')}:9090", f"{orders.v4}:9090", f"[{orders.v6}]:9090"):
        case.equal(f"TCP to {address}: the right identity, ten times", [web.tcp(address).get("app") for _ in range(10)], ["orders"] * 10)
        case.check("... another is refused", "error" in stock.tcp(address), "")

    # Who in words of namespaces and services, and a policy that only looks.
    folder.put("mtls-access", access("shop", "orders-allow", "orders", "Allow", {"from": [{"namespaces": ["store"]}]}))
    case.eventually("allowed by namespace: store", LIMIT, lambda: status(stock.call(world.orders_url())) == 200)
    case.equal("... and shop not", status(web.call(world.orders_url())), 403)
    folder.put("mtls-access", access("shop", "orders-allow", "orders", "Allow", {"from": [{"services": ["shop/web"]}]}))
    case.eventually("allowed by service: shop/web", LIMIT, lambda: status(web.call(world.orders_url())) == 200)
    case.equal("... and stock not", status(stock.call(world.orders_url())), 403)
    shadow = access("shop", "orders-allow", "orders", "Allow", {"from": [{"principals": [WEB]}]}, mode="Shadow")
    folder.put("mtls-access", shadow)
    case.eventually("mode Shadow lets pass", LIMIT, lambda: status(stock.call(world.orders_url())) == 200)
    denied = lambda: sum(p.stat_sum("shadow_denied") for p in (orders, world.pods["orders-2"]))  # noqa: E731
    count = denied()
    for _ in range(10):
        stock.call(world.orders_url())
    case.equal("... and counts what it would have refused", denied() - count, 10)

    # An edit reaches a connection that is open.
    folder.put("mtls-access", access("shop", "orders-allow", "orders", "Allow", {"from": [{"principals": [WEB]}]}))
    eventually("enforced", LIMIT, lambda: status(stock.call(world.orders_url())) == 403)
    versions = listeners(orders)
    connection = KeptConnection(stock, world)
    case.equal("a kept connection: 403", connection.ask(), 403)
    folder.put("mtls-access", access("shop", "orders-allow", "orders", "Allow", {"from": [{"namespaces": ["*"]}]}))
    case.eventually("... 200 after the edit", LIMIT, lambda: connection.ask() == 200)
    folder.put("mtls-access", access("shop", "orders-allow", "orders", "Allow", {"from": [{"principals": [WEB]}]}))
    case.eventually("... 403 after the next", LIMIT, lambda: connection.ask() == 403)
    case.equal("... on the connection that it was", connection.opened, 1)
    case.equal("... and no listener changed", listeners(orders), versions)

    # By port.
    folder.drop("mtls-access")
    folder.put("mtls", peer("shop", "orders", "orders", "Strict", ports={"8081": "Disable"}))
    case.eventually("a port with Disable takes plaintext", LIMIT, lambda: status(legacy.call(f"http://{orders.v4}:8081/")) == 200)
    case.equal("... its neighbour does not", status(legacy.call(plain)), "refused")
    eventually("sidecars call it", LIMIT, lambda: status(web.call("http://orders.shop.svc.cluster.local:81/")) == 200)

    at_the_gateway(world, case)
    folder.drop("mtls", "mtls-access", "mtls-gateway")
    eventually("plaintext is served again", LIMIT, lambda: status(legacy.call(plain)) == 200)


def who_is_who(world: World, case: Case) -> None:
    for pod in (*world.pods.values(), world.edge):
        name = f"spiffe://cluster.local/ns/{pod.namespace}/sa/{pod.account}" if isinstance(pod, Pod) else "spiffe://cluster.local/ns/shop/sa/edge"
        case.equal(f"{pod.name} has a certificate for what it is", identities(pod), {name})
    text = (world.isthmus.folder.path.parent / "logs/isthmus.log").read_text()
    dump = world.pods["web-1"].admin("config_dump")
    case.check("no private key in logs and dumps", "PRIVATE KEY" not in text + dump and "inline_bytes" not in _private(dump), "")


def _private(dump: str) -> str:
    """What the dump has of private keys: Envoy takes them out by itself, so this tells of keys at other places."""
    lines = dump.splitlines()
    return "\n".join(line for number, line in enumerate(lines) if "private_key" in lines[max(0, number - 1)] and "[redacted]" not in line.lower() and "W3JlZGFjdGVkXQ" not in line)


def identities(machine: Machine) -> set[str]:
    out = set()
    for one in json.loads(machine.admin("certs"))["certificates"]:
        for certificate in one.get("cert_chain", []):
            out |= {name["uri"] for name in certificate.get("subject_alt_names", []) if "uri" in name}
    return out


def listeners(pod: Pod) -> dict[str, str]:
    return {one["name"]: one["active_state"]["version_info"] for one in pod.dump("dynamic_listeners")}


class KeptConnection:
    """A client in the pod that asks again and again on one connection; a new one only if the old was closed."""

    def __init__(self, pod: Pod, world: World) -> None:
        self.pod, self.url, self.opened = pod, world.orders_url(), 0
        self.worker = pod.kept()

    def ask(self) -> int:
        said = self.worker(self.url)
        self.opened = said["opened"]
        return said["status"]


def at_the_gateway(world: World, case: Case) -> None:
    """The gateway is a caller like others, with an identity of its own."""
    folder = world.isthmus.folder

    def ask() -> int:
        connection = http.client.HTTPConnection(world.edge.v4, 80, timeout=10)
        try:
            connection.request("GET", "/", headers={"host": "shop.example.com"})
            return connection.getresponse().status
        finally:
            connection.close()

    edge = access("shop", "web-allow", "web", "Allow", {"from": [{"principals": ["cluster.local/ns/shop/sa/edge"]}]})
    folder.put("mtls-gateway", peer("shop", "web", "web", "Strict"), edge)
    web, orders = world.pods["web-1"], world.pods["orders-1"]
    case.eventually("web, Strict and for the gateway only: others get 403", LIMIT, lambda: status(orders.call(f"http://{world.vip('web')}/")) == 403)
    case.equal("... plaintext nothing", status(world.legacy.call(f"http://{web.v4}:8080/")), "refused")
    case.equal("... and the gateway 200", ask(), 200)
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    deny = make("AccessPolicy", "shop", "edge-deny", spec={"targetRefs": [target], "action": "Deny", "rules": [{"from": [{"ipBlocks": ["10.244.0.1/32"]}]}]})
    folder.put("mtls-gateway", peer("shop", "web", "web", "Strict"), edge, deny)
    case.eventually("an AccessPolicy for the Gateway refuses the client at the gateway", LIMIT, lambda: ask() == 403)
    folder.drop("mtls-gateway")
    case.eventually("... and no longer when it is gone", LIMIT, lambda: ask() == 200)
