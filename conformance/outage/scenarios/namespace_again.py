"""A namespace with a Gateway, routes and services is deleted and made again; the other namespaces are not touched by it."""

from case import Case
from cluster import Object, eventually, make, path
from world import ENVOYS, World, echo, gateway, gateways_processes, route

HOSTS = ("pay.example.com", "pay-by-shop.example.com")


def objects() -> list[Object]:
    return [
        make("Namespace", "", "pay"),
        *gateway("pay"),
        *echo("pay"),
        route("pay", "own", HOSTS[0], parents=("pay/edge",)),
        route("pay", "shops", HOSTS[1], parents=("shop/edge",)),
    ]


def serves(world: World, case: Case, again: str) -> str:
    world.cluster.apply(*objects())
    address = world.wait_gateway("pay", "edge")
    took = world.wait_answer(world.target(HOSTS[0], "pay", address))
    took += world.wait_answer(world.target(HOSTS[1], "pay"))
    case.within(f"it serves{again}, by its own Gateway and by that of another namespace", took)
    return address


def play(world: World, case: Case) -> None:
    with case.load([world.target()]):
        alone = gateways_processes()
        serves(world, case, "")
        case.check("its Gateway has Envoys", gateways_processes() == alone + ENVOYS, gateways_processes() - alone)

        world.cluster.delete("Namespace", "", "pay")
        _, took = eventually("the namespace is gone", 120, lambda: world.cluster.get("Namespace", "", "pay") is None)
        case.within("the namespace is gone", took)
        for kind in ("Deployment", "Service", "Pod", "ConfigMap"):
            left = world.cluster.list(kind, "pay")
            case.check(f"no {kind} of it is left", not left, len(left))
        eventually("its Envoys ended", 30, lambda: gateways_processes() == alone)
        case.check("its Envoys ended", True)
        for replica in world.replicas.all:
            eventually(f"{replica.name} knows none of it", 30, lambda r=replica: not r.items("namespaces/pay/gateways"))
        route_gone = lambda: "pay-by-shop" not in str([r.api(f"snapshot?proxy={p['id']}&type=RDS") for r in world.replicas.all for p in r.proxies("shop/edge")])  # noqa: E731
        eventually("the other Gateway has no route of it", 30, route_gone)
        case.check("the other Gateway has no route of it", True)

        serves(world, case, " again")
        world.cluster.do("DELETE", path("Namespace", "", "pay"))
        eventually("the namespace is gone again", 120, lambda: world.cluster.get("Namespace", "", "pay") is None)
