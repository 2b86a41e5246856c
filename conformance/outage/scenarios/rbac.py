"""Permissions are taken away one after the other: Isthmus stays up and serves, names what is missing, and recovers when it is back."""

from case import Case
from cluster import Object, eventually, is_current, condition
from world import World, gateway, route

ROLE = "isthmus-system-isthmus"
RECOVERY = 15


def without(role: Object, resource: str, *verbs: str) -> list[Object]:
    """The role's rules, less these verbs of this resource."""
    rules = []
    for rule in role["rules"]:
        if resource not in rule.get("resources", []) or not set(verbs) & set(rule["verbs"]):
            rules.append(rule)
            continue
        others = [name for name in rule["resources"] if name != resource]
        left = [verb for verb in rule["verbs"] if verb not in verbs]
        if others:
            rules.append({**rule, "resources": others})
        if left:
            rules.append({**rule, "resources": [resource], "verbs": left})
    return rules


def play(world: World, case: Case) -> None:
    role = world.cluster.get("ClusterRole", "", ROLE)
    with case.load([world.target()]):
        try:
            reading(world, case, role)
            writing_status(world, case, role)
            making(world, case, role)
        finally:
            give_back(world, role)
    world.remove(route("shop", "unseen", "unseen.example.com"), *gateway("shop", "third"))


def take(world: World, role: Object, resource: str, *verbs: str) -> None:
    world.cluster.patch("ClusterRole", "", ROLE, {"rules": without(role, resource, *verbs)})


def give_back(world: World, role: Object) -> None:
    world.cluster.patch("ClusterRole", "", ROLE, {"rules": role["rules"]})


def says(world: World, verb: str, resource: str) -> list[Object]:
    """Findings whose advice names both; every replica that notices has one."""
    found = (f for replica in world.replicas.all for f in replica.items("findings") if f["severity"] != "info")
    return [f for f in found if verb in f["hint"] and resource in f["hint"]]


def told(world: World, case: Case, limit: float, verb: str, resource: str) -> None:
    found, took = eventually(f"a finding names {verb} and {resource}", limit, lambda: says(world, verb, resource))
    case.check(f"a finding names {verb} and {resource}", True, f"{found[0]['code']}, {took:.1f} s")


def silent(world: World, verb: str, resource: str) -> bool:
    return not says(world, verb, resource)


def reading(world: World, case: Case, role: Object) -> None:
    take(world, role, "httproutes", "get", "list", "watch")
    # A watch that is open stays so: what ends it is a restart, of either side.
    world.server.kill()
    world.server.start()
    told(world, case, 60, "list", "httproutes")
    replica = world.replicas.all[0]
    replica.kill()
    replica.start()
    case.within("a replica that is started without the permission is ready", replica.wait_ready())
    _, took = eventually("it serves the routes that it knew", 30, world.replicas.agree)
    case.within("... and serves the routes that it knew", took)
    world.cluster.apply(route("shop", "unseen", "unseen.example.com"))
    give_back(world, role)
    _, took = eventually("given back: the new route is accepted", RECOVERY, lambda: world.route_accepted("shop", "unseen"))
    case.within("given back: the route that was made meanwhile is accepted", took)
    _, took = eventually("the finding is gone", RECOVERY, lambda: silent(world, "list", "httproutes"))
    case.within("... and the finding is gone", took)
    for one in world.replicas.all:
        eventually(f"{one.name} is live", RECOVERY, one.live)
    case.check("... and both replicas are live", True)


def writing_status(world: World, case: Case, role: Object) -> None:
    take(world, role, "gateways/status", "patch", "update")
    edge = world.cluster.get("Gateway", "shop", "edge")
    listeners = edge["spec"]["listeners"]
    more = {**listeners[0], "name": "more", "port": 8081}
    world.cluster.patch("Gateway", "shop", "edge", {"spec": {"listeners": [*listeners, more]}})
    told(world, case, 30, "patch", "gateways/status")
    give_back(world, role)

    def current() -> bool:
        thing = world.cluster.get("Gateway", "shop", "edge")
        return bool(thing) and is_current(thing, condition(thing["status"]["conditions"], "Programmed"))

    _, took = eventually("given back: the status is written", RECOVERY, current)
    case.within("given back: the status is written", took)
    _, took = eventually("the finding is gone", RECOVERY, lambda: silent(world, "patch", "gateways/status"))
    case.within("... and the finding is gone", took)
    world.cluster.patch("Gateway", "shop", "edge", {"spec": {"listeners": listeners}})


def making(world: World, case: Case, role: Object) -> None:
    take(world, role, "services", "create")
    world.cluster.apply(*gateway("shop", "third"))
    told(world, case, 30, "create", "services")
    give_back(world, role)
    service = lambda: world.cluster.get("Service", "shop", "third-isthmus")  # noqa: E731
    _, took = eventually("given back: the Service is made", RECOVERY, service)
    case.within("given back: the Service is made", took)
    _, took = eventually("the finding is gone", RECOVERY, lambda: silent(world, "create", "services"))
    case.within("... and the finding is gone", took)
    world.wait_gateway("shop", "third")
    case.check("... and the Gateway is programmed", True)
