"""A registry that says the worst things: findings, no crash, no rejection, and the good beside it is served."""

from __future__ import annotations

import time

from bed import Instance, until
from case import Case, instances, scenario
from scenarios.scale import GROUP, entry, start
from world import from_registry, registry, service

BAD_ADDRESSES = (
    "",
    "not an ip",
    "999.1.1.1",
    "10.0.0.1\u0000",
    "::1%eth0",
    "10.0.0.1:80",
    "-",
    "a" * 5000,
    "中文",
    "0.0.0.0",
    "255.255.255.255",
)
BAD_PORTS = (0, -1, 65536, 10**12, "80", None, 1.5)
NAMES = (
    "中文服务",
    "a b",
    "x" * 300,
    "..",
    "a/b",
    "名@@前",
    "UPPER",
    "quote\"'",
    "tab\t",
    "nul\u0000",
    "%2F%00",
    "🙂",
    "-",
    "a:1.0:g",
)
BAD_WEIGHTS = (-1, 1e308, "NaN", None, "1")


@scenario("hostile-nacos")
def hostile(case: Case) -> None:
    """10 MB of metadata, bad addresses and ports, duplicates, NUL, Chinese and every odd character, from a Nacos-shaped
    double; a good instance stands beside each."""
    double = start(case)
    world = case.world()
    good = instances("victim", 1)[0]
    world.backends.start(good)
    double.service("victim", entry(good))
    world.write(
        "world",
        registry("legacy", "Nacos", double.address(), labels=["*"]),
        *service("victim", from_registry("legacy", "victim", GROUP)),
    )
    world.start()
    world.until_served("victim", good, within=60)
    driver = world.drive("victim", 100)
    began = time.monotonic()
    probe = Instance("victim", "10.99.1.77")
    world.backends.start(probe)

    def say(what: str, *hosts: dict) -> None:
        """Something bad beside the good; that it was read is seen by another good one that comes with it."""
        double.service("victim", entry(good), *hosts, entry(probe))
        world.probe("victim").until_seen(probe.key, 30)
        double.service("victim", entry(good))
        world.probe("victim").until_gone(probe.key, 30)
        case.figure(what, "served on")

    say("bad addresses", *(entry(good, ip=ip, port=81) for ip in BAD_ADDRESSES if ip not in ("中文",)))
    say("bad ports", *(entry(good, ip="10.99.1.200", port=port) for port in BAD_PORTS))
    say(
        "bad weights",
        *(entry(good, ip=f"10.99.1.{201 + n}", weight=weight, healthy=False) for n, weight in enumerate(BAD_WEIGHTS)),
    )
    say("duplicates", *(entry(good) for _ in range(50)))
    say("metadata of 8 MB in one value", entry(good, metadata={"big": "x" * 8 * 2**20}))
    say("100,000 metadata keys", entry(good, metadata={f"k{n}": "v" for n in range(100_000)}))
    say("odd metadata", entry(good, metadata={"nul\u0000": "\u0000", "中文": "值", "": "", "k" * 70000: "v"}))
    say("words instead of values", {"ip": ["10.0.0.1"], "port": {}, "metadata": "no"}, {"ip": None})
    for name in NAMES:
        double.service(name, entry(good))
    seen = until("the odd names are seen", lambda: len(world.services("legacy")) > 3 and world.services("legacy"), 30)
    case.figure("odd names", f"{len(NAMES)} registered, {len(seen) - 1} shown")
    case.figure("RSS, MB", world.memory() // 2**20)
    case.figure("requests", driver.none_failed("a hostile registry", began))
    findings = world.get("/api/v1/findings?format=json") or ""
    case.figure("findings named", findings.count("ISM14"))
    case.check(world.rejected() == 0, "Envoy rejected something")
    case.check(world.state("legacy") in ("live", "degraded"), f"the source is {world.state('legacy')}")
