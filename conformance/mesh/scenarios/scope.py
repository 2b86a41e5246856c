"""What a sidecar is told of: the services that a SidecarScope names and no others; without one those of its own namespace, and another one from the first call on. RegistryOnly lets nothing else out."""

from __future__ import annotations

from case import Case, eventually
from isthmus import make
from pod import Pod
from scenarios.chain import short
from scenarios.mtls import status
from world import LIMIT, SCOPES, World


def services(pod: Pod) -> set[str]:
    names = (one["cluster"]["name"].split("/") for one in pod.dump("dynamic_active_clusters"))
    return {"/".join(name[1:3]) for name in names if name[0] in ("service", "meshservice")}


def play(world: World, case: Case) -> None:
    web = world.pods["web-1"]
    folder = world.isthmus.folder
    try:
        folder.put("scope", make("SidecarScope", "shop", "orders-only", spec={"egress": [{"hosts": ["./orders"]}]}))
        case.eventually("a scope of one service: it holds that one", LIMIT, lambda: services(web) == {"shop/orders"})
        case.equal("... which answers", status(web.call(world.orders_url())), 200)
        said = web.call("http://legacy.example.com:8080/")
        case.equal("... and so does what the mesh does not know", status(said), 200)

        folder.put("scope", make("SidecarScope", "shop", "orders-only", spec={"egress": [{"hosts": ["./orders"]}], "outboundMode": "RegistryOnly"}))
        case.eventually("RegistryOnly: an unknown host is refused", LIMIT, lambda: status(web.call("http://legacy.example.com:8080/")) in (502, "refused"))
        case.check("... by TCP too", "error" in web.call({"tcp": f"{world.legacy.v4}:9091", "quiet": True}), "")
        case.equal("... and orders answers", status(web.call(world.orders_url())), 200)
        case.equal("... also by ip:port", status(web.call(f"http://{world.pods['orders-2'].v4}:8080/")), 200)

        chosen = make("SidecarScope", "shop", "web", spec={"workloadSelector": {"app": "web"}, "egress": [{"hosts": ["./orders", "store/stock"]}]})
        folder.put("scope", chosen)
        case.eventually("a scope for web alone", LIMIT, lambda: services(web) == {"shop/orders", "store/stock"})
        case.eventually("... others have the usual one: their own namespace", LIMIT, lambda: services(world.pods["orders-1"]) == {"shop/web", "shop/orders", "shop/billing"})

        folder.drop("scope")
        case.eventually("without a scope: its own namespace", LIMIT, lambda: services(web) == {"shop/web", "shop/orders", "shop/billing"})
        said = web.call(world.stock_url())
        case.check("the first call to another namespace's service is answered", said.get("status") == 200, short(said))
        case.eventually("... which belongs to the scope from then on", LIMIT, lambda: "store/stock" in services(web))
        said = [status(web.call(world.stock_url())) for _ in range(10)]
        case.equal("... and goes on answering", set(said), {200})
        said = web.call({"url": f"http://{world.vip('stock')}/", "host": "nobody.store.svc.cluster.local"})
        case.check("a service that is none is an error, not a hang", said.get("status", 0) >= 400, short(said))
    finally:
        folder.put("scope", *SCOPES)
        eventually("the scopes are as before", LIMIT, lambda: "store/stock" in services(web) and "shop/billing" in services(web))
