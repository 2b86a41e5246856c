"""A thousand good routes, then one broken object of every kind: its own status says so, the others answer; mended, all is clean."""

import base64
import random
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.client import HTTPSConnection

from case import Case
from cluster import WORK, Cluster, Object, condition, eventually, is_current, make
from load import Target, ask, once
from world import World, echo, gateway, route

ROUTES = 1000
SAMPLE = 50
NAMESPACE = "many"
BACK_ENDS = 4


def host(number: int) -> str:
    return f"r{number}.example.com"


def side_by_side(count: int, do: Callable[[int], None], threads: int = 8) -> None:
    errors: list[Exception] = []

    def work(first: int) -> None:
        for number in range(first, count, threads):
            try:
                do(number)
            except Exception as error:  # noqa: BLE001 - told below
                errors.append(error)
                return

    all_of = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in all_of:
        thread.start()
    for thread in all_of:
        thread.join()
    if errors:
        raise errors[0]


def certificate(name: str) -> tuple[str, str]:
    """Certificate and key, for HTTPS and as an authority."""
    folder = WORK / "pki"
    files = (folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*command, "-subj", f"/CN={name}", "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files[0].read_text(), files[1].read_text()


def secret(name: str, cert: str, key: str) -> Object:
    data = {k: base64.b64encode(v.encode()).decode() for k, v in (("tls.crt", cert), ("tls.key", key))}
    return make("Secret", "shop", name, type="kubernetes.io/tls", data=data)


class Broken:
    """Something broken, how that shows, and what mends it."""

    def __init__(self, what: str, broken: list[Object], shows: Callable[[Cluster], str], mended: list[Object], clean: Callable[[], bool]) -> None:
        self.what, self.broken, self.shows, self.mended, self.clean = what, broken, shows, mended, clean


def parent_says(kind: str, name: str, what: str, reason: str) -> Callable[[Cluster], str]:
    def look(cluster: Cluster) -> str:
        thing = cluster.get(kind, NAMESPACE, name) or {}
        for parent in thing.get("status", {}).get("parents", []) + thing.get("status", {}).get("ancestors", []):
            found = condition(parent["conditions"], what)
            if is_current(thing, found, "True" if what == "PartiallyInvalid" else "False") and found["reason"] == reason:
                return f"{what}={found['status']}, {reason}: {found['message']}"
        return ""

    return look


def routes_of(world: World, good: tuple[str, str]) -> list[Broken]:
    def accepted(name: str) -> Callable[[], bool]:
        return lambda: world.route_accepted(NAMESPACE, name)

    def one(name: str) -> Object:
        return route(NAMESPACE, name, f"{name}.example.com", "back-0")

    def with_rule(name: str, **fields: object) -> Object:
        out = one(name)
        out["spec"]["rules"][0] |= fields
        return out

    regex = [{"path": {"type": "RegularExpression", "value": "/a(b"}}]
    unknown = [{"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Filter", "name": "none"}}]
    elsewhere = [{"name": "echo", "namespace": "shop", "port": 80}]
    grant_spec = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": NAMESPACE}],
        "to": [{"group": "", "kind": "Service"}],
    }
    policy = lambda name: make(  # noqa: E731
        "BackendTLSPolicy",
        NAMESPACE,
        "policy",
        spec={
            "targetRefs": [{"group": "", "kind": "Service", "name": "back-3"}],
            "validation": {"hostname": "back.example.com", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": name}]},
        },
    )

    def policy_clean() -> bool:
        thing = world.cluster.get("BackendTLSPolicy", NAMESPACE, "policy") or {}
        ancestors = thing.get("status", {}).get("ancestors", [])
        return bool(ancestors) and all(is_current(thing, condition(a["conditions"], "Accepted")) for a in ancestors)

    return [
        Broken(
            "a bad regex in a match",
            [with_rule("regex", matches=regex)],
            parent_says("HTTPRoute", "regex", "Accepted", "UnsupportedValue"),
            [one("regex")],
            accepted("regex"),
        ),
        Broken(
            "an unknown filter",
            [with_rule("filter", filters=unknown)],
            parent_says("HTTPRoute", "filter", "Accepted", "UnsupportedValue"),
            [one("filter")],
            accepted("filter"),
        ),
        Broken(
            "a back end of another namespace without a grant",
            [with_rule("grant", backendRefs=elsewhere)],
            parent_says("HTTPRoute", "grant", "ResolvedRefs", "RefNotPermitted"),
            [make("ReferenceGrant", "shop", "many", spec=grant_spec)],
            accepted("grant"),
        ),
        Broken(
            "a BackendTLSPolicy whose CA is no certificate",
            [make("ConfigMap", NAMESPACE, "ca", data={"ca.crt": "no certificate"}), policy("ca"), route(NAMESPACE, "tls", "tls.example.com", "back-3")],
            parent_says("BackendTLSPolicy", "policy", "Accepted", "NoValidCACertificate"),
            [make("ConfigMap", NAMESPACE, "ca", data={"ca.crt": good[0]})],
            policy_clean,
        ),
    ]


def play(world: World, case: Case) -> None:
    cluster = world.cluster
    good, other = certificate("shop.example.com"), certificate("other.example.com")
    cluster.apply(make("Namespace", "", NAMESPACE))
    # All of them the same pods.
    port = {"name": "http", "port": 80, "targetPort": 3000}
    cluster.apply(*echo(NAMESPACE, "back", 1))
    cluster.apply(*(make("Service", NAMESPACE, f"back-{n}", spec={"selector": {"app": "back"}, "ports": [port]}) for n in range(BACK_ENDS)))
    side_by_side(ROUTES, lambda n: cluster.apply(route(NAMESPACE, f"r{n}", host(n), f"back-{n % 3}")))

    def accepted() -> int:
        things = cluster.list("HTTPRoute", NAMESPACE)
        return sum(
            all(is_current(t, condition(p["conditions"], what)) for p in t["status"]["parents"] for what in ("Accepted", "ResolvedRefs"))
            for t in things
            if t["metadata"]["name"][1:].isdigit() and t.get("status", {}).get("parents")
        )

    _, took = eventually(f"{ROUTES} routes are accepted", 120, lambda: accepted() == ROUTES, 1)
    case.within(f"{ROUTES} routes are accepted after the last was made", took)
    chance = random.Random(0)
    sample = [world.target(host(n), NAMESPACE) for n in chance.sample(range(ROUTES), SAMPLE)]
    for target in sample:
        world.wait_answer(target)

    edge = cluster.get("Gateway", "shop", "edge")
    listeners = edge["spec"]["listeners"]
    with case.load([world.target(), *sample]):
        broken = routes_of(world, good)
        for one in broken:
            cluster.apply(*one.broken)
        https = lambda name, port: {  # noqa: E731
            "name": name,
            "port": port,
            "protocol": "HTTPS",
            "tls": {"certificateRefs": [{"name": name}]},
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
        cluster.apply(secret("mixed", good[0], other[1]))
        more = [https("missing", 8443), https("mixed", 8444)]
        cluster.patch("Gateway", "shop", "edge", {"spec": {"listeners": [*listeners, *more]}})
        # Its schema leaves this to the API server, which refuses the pods.
        cluster.apply(*second_gateway({"replicas": 1, "pod": {"tolerations": [{"operator": "Never"}]}}))

        for one in broken:
            said, _ = eventually(f"{one.what} shows", 60, lambda o=one: o.shows(cluster))
            case.check(f"{one.what} shows in its status", True, said)
        for name in ("missing", "mixed"):
            said, _ = eventually(f"listener {name} says so", 60, lambda n=name: listener(cluster, n, "False", "ResolvedRefs"))
            case.check(f"the listener whose Secret is {name} says so", said == "InvalidCertificateRef", said)
        said, _ = eventually("the Gateway with a wrong GatewayConfig says so", 60, lambda: gateway_says(cluster, "bad"))
        case.check("the Gateway with a wrong GatewayConfig is not programmed", True, said)
        refused = lambda: [f for r in world.replicas.all for f in r.findings("refuses Deployment", "shop/bad-isthmus")]  # noqa: E731
        said, _ = eventually("a finding says what the API server refuses", 60, refused)
        case.check("... and a finding says what the API server refuses", True, said[0]["text"][:160])

        case.check(f"the {ROUTES} others are accepted", accepted() == ROUTES, accepted())
        wrong = [target.host for target in sample if not answers(target)]
        case.check(f"{SAMPLE} of them answer", not wrong, wrong)

        for one in broken:
            cluster.apply(*one.mended)
        cluster.apply(secret("missing", *good), secret("mixed", *good))
        cluster.apply(*second_gateway({"replicas": 1}))
        for one in broken:
            _, took = eventually(f"{one.what}, mended", 60, one.clean)
            case.within(f"{one.what}, mended: clean", took)
        for name, port in (("missing", 8443), ("mixed", 8444)):
            _, took = eventually(f"listener {name} is programmed", 60, lambda n=name: listener(cluster, n, "True", "Programmed"))
            case.within(f"the listener whose Secret was {name} is programmed", took)
            case.check("... and answers with it", secure(world.address, port) == NAMESPACE)
        world.wait_gateway("shop", "bad")
        case.check("the Gateway whose GatewayConfig was wrong is programmed", True)
        left = [f for r in world.replicas.all for f in r.items("findings") if f["severity"] == "error"]
        case.check("no finding of an error is left", not left, [f"{f['code']} {f.get('object')} {f['text']}" for f in left[:3]])
        cluster.patch("Gateway", "shop", "edge", {"spec": {"listeners": listeners}})
    world.remove(*second_gateway({}), make("ReferenceGrant", "shop", "many"), make("Secret", "shop", "missing"), make("Secret", "shop", "mixed"))
    cluster.delete("Namespace", "", NAMESPACE)
    eventually("the namespace is gone", 180, lambda: cluster.get("Namespace", "", NAMESPACE) is None, 1)


def second_gateway(config: Object) -> list[Object]:
    first, second = gateway("shop", "bad")
    return [{**first, "spec": config}, second]


def listener(cluster: Cluster, name: str, status: str, what: str) -> str:
    """The reason, once the condition has this status."""
    thing = cluster.get("Gateway", "shop", "edge") or {}
    for found in thing["status"].get("listeners", []):
        said = condition(found["conditions"], what)
        if found["name"] == name and is_current(thing, said, status):
            return said["reason"]
    return ""


def gateway_says(cluster: Cluster, name: str) -> str:
    thing = cluster.get("Gateway", "shop", name) or {}
    for what in ("Accepted", "Programmed"):
        found = condition(thing.get("status", {}).get("conditions", []), what)
        if is_current(thing, found, "False"):
            return f"{what}=False, {found['reason']}: {found['message']}"
    return ""


def answers(target: Target) -> bool:
    try:
        return bool(once(target))
    except Exception:  # noqa: BLE001 - that is the answer
        return False


def secure(address: str, port: int) -> str:
    """The namespace that answers r0, over TLS, whoever signed for it."""
    context = ssl._create_unverified_context()  # noqa: S323 - the certificate is the judge's own
    connection = HTTPSConnection(address, port, timeout=15, context=context)
    try:
        ask(connection, Target(address, host(0), NAMESPACE))
        return NAMESPACE
    except OSError as error:
        return repr(error)
    finally:
        connection.close()
