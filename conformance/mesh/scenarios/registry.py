"""Two instances that only Eureka knows, each with a sidecar that joined by token. Clients pick an instance by themselves, as Spring Cloud's do, and get the service's route, policy and mutual TLS all the same."""

from __future__ import annotations

from case import Case, eventually
from eureka import PORT, Eureka, instance
from isthmus import make
from net import BRIDGE4
from pod import Pod
from scenarios.chain import handshakes, header, short
from scenarios.mtls import identities, status
from world import LIMIT, SCOPES, World, access, route

LEDGER = {"group": "isthmus.dev", "kind": "MeshService", "name": "ledger"}
CALLS = 10


def play(world: World, case: Case) -> None:
    web, stock, legacy = world.pods["web-1"], world.pods["stock-1"], world.legacy
    folder = world.isthmus.folder
    eureka = Eureka()
    ledgers = [Pod(f"ledger-{n}", 20 + n, "ledger", "legacy", registry="infra/eureka") for n in (1, 2)]
    try:
        eureka.instances = [instance("ledger", pod.v4, 8080, isthmus_mtls="true") for pod in ledgers]
        spec = {"type": "Eureka", "addresses": [f"{BRIDGE4}:{PORT}"], "import": {"namespace": "legacy"}, "eureka": {"pollMax": "1s"}}
        folder.put("registry", make("Namespace", "", "legacy"), make("Registry", "infra", "eureka", spec=spec))
        for pod in ledgers:
            world.add(pod)
        first, second = ledgers
        case.equal("a workload of a registry has a certificate for what it is", identities(first), {"spiffe://cluster.local/reg/infra.eureka/svc/ledger"})

        folder.put(
            "registry-policy",
            route("legacy", "ledger", LEDGER, "ledger", headers={"x-route": "producer"}, backend_kind=("isthmus.dev", "MeshService")),
            make("AccessPolicy", "legacy", "ledger", spec={"targetRefs": [LEDGER], "action": "Allow", "rules": [{"from": [{"namespaces": ["shop"]}]}]}),
        )
        everything = [make("SidecarScope", namespace, "default", spec={"egress": [{"hosts": ["*/*"]}]}) for namespace in ("shop", "store", "legacy")]
        folder.put("scope", *everything)
        picked = f"http://{second.v4}:8080/"
        case.eventually("picked by ip:port: the service's route counts", LIMIT, lambda: header(web.call(picked), "x-route") == "producer")
        before = handshakes(second)
        answers = [web.call(picked) for _ in range(CALLS)]
        case.equal(f"... it stays on the instance, {CALLS} of {CALLS}", {short(one) for one in answers}, {"200 by ledger-2"})
        case.check("... over the mesh's TLS", handshakes(second) > 0, f"{before} handshakes before, {handshakes(second)} after")
        case.eventually("... its AccessPolicy lets another namespace not in", LIMIT, lambda: status(stock.call(picked)) == 403)
        case.equal("... nor plaintext, which is nobody", status(legacy.call(picked)), 403)
        said = web.call("http://ledger.legacy/")
        case.check("by the service's name, whose address the mesh made", said.get("status") == 200, short(said))

        folder.put("registry-back", access("shop", "orders-ledger", "orders", "Allow", {"from": [{"principals": ["cluster.local/reg/infra.eureka/svc/ledger"]}]}))
        orders = world.pods["orders-2"]
        case.eventually("as a caller it is known by that identity: others get 403", LIMIT, lambda: status(web.call(world.orders_url())) == 403)
        said = first.call(f"http://{orders.v4}:8080/")
        case.check("... and it 200", said.get("status") == 200, short(said))
        folder.drop("registry-back")

        # An instance that goes is nobody's any more.
        eureka.instances = eureka.instances[:1]
        case.eventually("deregistered: the service's route counts no more at its ip:port", LIMIT, lambda: header(web.call(picked), "x-route") is None)
        eventually("the policies are gone", LIMIT, lambda: status(web.call(world.orders_url())) == 200)

        # A library that picks, and a service that does not want it to. The policy would let in nobody at its other port.
        folder.drop("registry-policy")
        ends = [{"address": pod.v4} for pod in ledgers]
        rebalanced = {"ports": [{"port": 80, "targetPort": 8081, "protocol": "HTTP"}], "sources": [{"static": {"endpoints": ends}}], "sdkPick": "Rebalance"}
        folder.put("registry-rebalance", make("MeshService", "shop", "spread", spec=rebalanced))
        spread = lambda: {short(web.call(f"http://{first.v4}:8081/")) for _ in range(CALLS)}  # noqa: E731
        case.eventually("sdkPick: Rebalance spreads what was picked", LIMIT, lambda: spread() == {"200 by ledger-1", "200 by ledger-2"})
    finally:
        folder.put("scope", *SCOPES)
        folder.drop("registry-policy", "registry-back", "registry-rebalance", "registry")
        for pod in ledgers:
            if pod.name in world.pods:
                world.take(pod.name)
        eureka.close()
