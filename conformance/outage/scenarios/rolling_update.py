"""A change of the GatewayConfig (Envoy's log level) replaces all Envoys, one by one."""

from case import Case
from cluster import eventually
from world import ENVOYS, World


def play(world: World, case: Case) -> None:
    old = {pod["metadata"]["uid"] for pod in world.envoys("shop", "edge")}
    level = world.cluster.get("GatewayConfig", "shop", "edge")["spec"]["envoy"]["logLevel"]
    other = "info" if level == "warn" else "warn"

    def gone() -> bool:
        label = "gateway.networking.k8s.io/gateway-name=edge"
        pods = {pod["metadata"]["uid"] for pod in world.cluster.list("Pod", "shop", label)}
        return len(pods) == ENVOYS and not pods & old

    with case.load([world.target()]) as load:
        world.cluster.patch("GatewayConfig", "shop", "edge", {"spec": {"envoy": {"logLevel": other}}})
        _, took = eventually("all Envoys are other ones", 180, gone)
        case.within("all Envoys were replaced", took)
        case.within("... and are in step", world.wait_envoys("shop", "edge"))
        flags = [pod["spec"]["containers"][0]["args"] for pod in world.envoys("shop", "edge")]
        case.check("... with the new level", all(other in args for args in flags))
    case.check("both replicas still agree", world.replicas.agree())
    case.figure(f"{sum(len(count.by_pod) for count in load.count.values())} back ends answered")
