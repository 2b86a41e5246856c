"""Gateway → web → orders → stock with sidecars: by name, by address, by an instance that the client picked, over IPv4 and IPv6, HTTP and TCP. Routes and policies count each time; what the mesh does not know passes; nothing goes round in circles."""

from __future__ import annotations

import http.client
import json

from case import Case, Failed, eventually
from pod import Answer, Pod
from world import LIMIT, World, access, of_service, route

CALLS = 10
CALLER = "URI=spiffe://cluster.local/ns/shop/sa/web"


def play(world: World, case: Case) -> None:
    web, orders, second = world.pods["web-1"], world.pods["orders-1"], world.pods["orders-2"]
    stock, legacy, billing = world.pods["stock-1"], world.legacy, world.billing
    folder = world.isthmus.folder
    through_the_gateway(world, case)

    # Services that are called by name, and what the name server was asked.
    asked = {name for name in world.names.asked if name.startswith(("orders.", "web."))}
    case.check("names of the own namespace are answered by the sidecar", not asked, asked or "")

    folder.put(
        "chain",
        route("shop", "orders", of_service("orders", port=80), "orders", headers={"x-route": "producer"}),
        # For one port: where it is none of HTTP, a policy that denies paths denies everything.
        access("shop", "orders-deny", "orders", "Deny", {"to": [{"paths": ["/forbidden*"]}]}, port="http"),
    )
    ways: dict[str, tuple[str, set[str]]] = {
        "its name": ("http://orders.shop.svc.cluster.local", {"orders-1", "orders-2"}),
        "its short name": ("http://orders", {"orders-1", "orders-2"}),
        "its address": (f"http://{world.vip('orders')}", {"orders-1", "orders-2"}),
        "its IPv6 address": (f"http://{world.vip('orders', 6)}", {"orders-1", "orders-2"}),
        "an instance's ip:port": (f"http://{second.v4}:8080", {"orders-2"}),
        "an instance's [IPv6]:port": (f"http://[{second.v6}]:8080", {"orders-2"}),
    }
    try:
        eventually("the route is there", LIMIT, lambda: header(web.call(world.orders_url()), "x-route") == "producer")
        eventually("the policy is there", LIMIT, lambda: web.call(world.orders_url("/forbidden")).get("status") == 403)
    except Failed as error:
        case.check("the route and the policy of orders arrive", False, error)
    for way, (url, pods) in ways.items():
        answers = [web.call(f"{url}/ok") for _ in range(CALLS)]
        good = [one for one in answers if one.get("status") == 200 and one["body"].get("app") == "orders"]
        case.check(f"orders, called by {way}: {CALLS} of {CALLS}", len(good) == CALLS, worst(answers))
        case.equal("... by all of whom it may be", {one["body"]["pod"] for one in good}, pods)
        known = [header(one, "x-forwarded-client-cert") or "" for one in good]
        case.check("... by mutual TLS, as who it is", good and all(CALLER in text for text in known), known[0] if known else "")
        case.check("... edited by the service's HTTPRoute", good and all(header(one, "x-route") == "producer" for one in good), short(answers[0]))
        denied = web.call(f"{url}/forbidden/x")
        case.check("... refused by its AccessPolicy", denied.get("status") == 403, short(denied))
    unlisted(world, case)

    said = web.tcp(f"{world.vip('orders')}:9090")
    case.check("TCP by the service's address", said.get("app") == "orders", said)
    for text, address in (("ip:port", f"{second.v4}:9090"), ("[IPv6]:port", f"[{second.v6}]:9090")):
        before = handshakes(second)
        said = {web.tcp(address).get("pod") for _ in range(CALLS)}
        case.check(f"TCP to an instance's {text} stays there", said == {"orders-2"}, said)
        case.equal("... each a connection of the mesh's TLS", handshakes(second) - before, CALLS)
    folder.put("chain-tcp", access("shop", "orders-tcp", "orders", "Deny", {"to": [{"ports": [9090]}]}))
    case.eventually("an AccessPolicy for the port refuses TCP by address", LIMIT, lambda: "error" in web.tcp(f"{world.vip('orders')}:9090"))
    case.eventually("... and by ip:port", LIMIT, lambda: "error" in web.tcp(f"{second.v4}:9090"))
    folder.drop("chain-tcp")
    case.eventually("... and no longer when it is gone", LIMIT, lambda: web.tcp(f"{second.v4}:9090").get("app") == "orders")

    # What nobody declared.
    said = web.call("http://legacy.example.com:8080/x")
    case.check("an unknown host answers", said.get("status") == 200 and said["body"]["app"] == "legacy", short(said))
    case.equal("... untouched by the mesh's routes", header(said, "x-route"), None)
    said = web.call({"url": f"http://{legacy.v4}:8080/", "host": "nobody.example.com"})
    case.check("an unknown host at an address", said.get("status") == 200, short(said))
    said = web.call({"tcp": f"{legacy.v4}:9091", "quiet": True})
    case.check("an unknown host whose server speaks first", said.get("app") == "legacy", said)
    said = web.call(f"http://{legacy.v4}:8081/")
    case.check("an unknown host at a port that services have", said.get("status") == 200 and said["body"]["app"] == "legacy", short(said))
    said = web.call({"tcp": f"{stock.v4}:9091", "quiet": True})
    case.check("a port of a pod that no service has", said.get("app") == "stock", said)
    said = web.call("http://orders.shop.svc.cluster.local:81/")
    case.check("a port without a declared protocol", said.get("status") == 200 and said["body"]["app"] == "orders", short(said))
    said = web.call("http://billing.corp/")
    case.check("a MeshService without an address, by its host", said.get("status") == 200 and said["body"]["app"] == "billing", short(said))
    case.check("... that the name server knows nothing of", "billing.corp" not in world.names.asked, "")
    said = web.call(f"http://{billing.v4}:8080/")
    case.check("... and by its instance's ip:port", said.get("status") == 200 and said["body"]["app"] == "billing", short(said))
    said = web.call("http://stock.store/")
    case.check("a service of another namespace", said.get("status") == 200 and said["body"]["app"] == "stock", short(said))

    # From outside of the mesh.
    for text, address in (("IPv4", orders.v4), ("IPv6", f"[{orders.v6}]")):
        said = legacy.call(f"http://{address}:8080/ok")
        case.check(f"called from outside the mesh, {text}", said.get("status") == 200, short(said))
        said = legacy.call(f"http://{address}:8080/forbidden")
        case.check("... the AccessPolicy counts there too", said.get("status") == 403, short(said))
    said = legacy.tcp(f"{orders.v4}:9090")
    case.check("TCP from outside the mesh", said.get("app") == "orders", said)
    said = legacy.call({"tcp": f"{orders.v4}:9091", "quiet": True})
    case.check("... to a port of no service, where the server speaks first", said.get("app") == "orders", said)

    circles(world, case)
    folder.drop("chain")
    eventually("the route is gone", LIMIT, lambda: header(web.call(world.orders_url()), "x-route") is None)


def through_the_gateway(world: World, case: Case) -> None:
    hops = [{"url": world.orders_url("/b")}, {"url": world.stock_url("/c")}]

    def ask() -> Answer:
        connection = http.client.HTTPConnection(world.edge.v4, 80, timeout=10)
        try:
            connection.request("GET", "/a", headers={"host": "shop.example.com", "x-hops": json.dumps(hops)})
            response = connection.getresponse()
            return {"status": response.status, "body": json.loads(response.read())}
        finally:
            connection.close()

    said, _ = eventually("the gateway leads through", LIMIT, ask)
    seen = []
    while said:
        body = said.get("body", {})
        seen.append((body.get("app"), body.get("path"), body.get("uid")) if isinstance(body, dict) else said)
        said = body.get("next") if isinstance(body, dict) else None
    case.equal("gateway → web → orders → stock", seen, [("web", "/a", 1000), ("orders", "/b", 1000), ("stock", "/c", 1000)])
    for name in ("web-1", "stock-1"):
        count = handshakes(world.pods[name])
        case.check(f"{name} was called with the mesh's TLS", count, count)


def unlisted(world: World, case: Case) -> None:
    """Picked, but by an address that is of no instance any more: it is nobody's, and fails by itself."""
    said = world.pods["web-1"].call("http://10.244.0.251:8080/")
    case.check("an address where nobody is fails", "error" in said or said.get("status") in (502, 503, 504), short(said))


def circles(world: World, case: Case) -> None:
    """Calls of a pod to itself and to the proxy's own ports: each is counted where it goes in."""
    web, orders, legacy = world.pods["web-1"], world.pods["orders-1"], world.legacy
    before = connections(web)
    own = {
        "its own service's address": f"http://{world.vip('web')}/",
        "its own IP": f"http://{web.v4}:8080/",
        "its own IPv6": f"http://[{web.v6}]:8080/",
        "its own loopback": "http://127.0.0.1:8080/",
    }
    for way, url in own.items():
        said = web.call(url)
        case.check(f"web calls {way}", said.get("status") == 200 and said["body"]["pod"] == "web-1", short(said))
    for text, caller, target in (
        ("15001 of its own", web, "127.0.0.1:15001"),
        ("15006 of its own", web, "127.0.0.1:15006"),
        ("15001 at its own IP", web, f"{web.v4}:15001"),
        ("15006 at its own IP", web, f"{web.v4}:15006"),
        ("15006 of another pod", orders, f"{web.v4}:15006"),
        ("15001 of another pod", orders, f"{web.v4}:15001"),
        ("15006 from outside the mesh", legacy, f"{web.v4}:15006"),
        ("15001 from outside the mesh", legacy, f"{web.v4}:15001"),
    ):
        said = caller.call(f"http://{target}/")
        case.check(f"a call to {text} ends", said.get("status", 0) not in range(200, 300), short(said))
    grown = {name: value - before.get(name, 0) for name, value in connections(web).items()}
    grown = {name: value for name, value in grown.items() if value}
    case.check("and web's proxy saw few connections for all that", sum(grown.values()) <= 60, grown)


def connections(pod: Pod) -> dict[str, int]:
    return {name: value for name, value in pod.stats("^listener.*downstream_cx_total$").items() if "worker" not in name and "admin" not in name}


def handshakes(pod: Pod) -> int:
    """TLS connections that were taken at the inbound listener."""
    return sum(value for name, value in pod.stats("ssl.handshake$").items() if name.startswith("listener.") and "15006" in name)


def header(said: Answer, name: str) -> str | None:
    body = said.get("body")
    return body["headers"].get(name) if isinstance(body, dict) else None


def short(said: Answer) -> str:
    if said.get("status") == 200 and isinstance(said.get("body"), dict):
        return f"200 by {said['body'].get('pod')}"
    return str(said.get("error") or f"{said.get('status')} {str(said.get('body'))[:160]}")


def worst(answers: list[Answer]) -> str:
    bad = [one for one in answers if one.get("status") != 200]
    return short(bad[0]) if bad else ""
