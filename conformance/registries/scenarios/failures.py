"""The failure table: whatever the registry does, living back ends lose no request, and a dead one goes in time."""

from __future__ import annotations

import time
from collections.abc import Callable

from bed import Failure, Instance, NotRun, Registrar, Server, until
from case import ADDRESSES, ALL, RELAYED, Case, guarded, instances, scenario
from driver import Driver
from world import World

RATE = 200.0
# ZooKeeper lists the nodes of sessions that died with the old server until those time out; so what goes within 45 s of
# a new contact is held until then, and goes with the next answer to a question that is put every 5 s.
ZOOKEEPER_SETTLE = 45
ZOOKEEPER_ASKED = 10
# Until a wrong secret is seen, and why.
SEEN = {
    "Nacos": (
        45,
        "a token of this bed lives 30 s, whatever becomes of the password; the next request after it is refused",
    ),
    "Eureka": (10, "the longest poll of this bed is 5 s, and the file is looked at within as much"),
    "Consul": (20, "a blocking query is asked anew within 10 s of a new token"),
    "ZooKeeper": (10, "a session keeps its identity; the new one after the restart is refused at once"),
}


class Traffic:
    """Five living back ends in a registry, requests to them, and what is asked of every outage."""

    def __init__(self, case: Case, server: Server, *addresses: str, **spec: object) -> None:
        self.case, self.server = case, server
        self.registrar: Registrar = case.registrar(server)
        self.instances = instances("orders", 5)
        self.world: World = case.world()
        self.world.backends.start(*self.instances)
        self.registrar.register(*self.instances)
        self.spec = spec
        self.write(*(addresses or (server.address(),)))
        self.world.start()
        self.world.until_served("orders", *self.instances, within=60)
        # Degraded where one of several addresses is dead from the start.
        self.world.until_state("legacy", "live", *(["degraded"] if len(addresses) > 1 else []))
        self.driver: Driver = self.world.drive("orders", RATE)
        self.began = time.monotonic()

    def write(self, *addresses: str) -> None:
        self.world.write("world", self.case.registry(*addresses, **self.spec), *self.case.served())

    def live_again(self, within: float) -> None:
        took = self.world.until_state("legacy", "live", within=within)
        self.case.figure("back to live, s", took)

    def all_serve(self, what: str, seconds: float = 2.0) -> None:
        """No request failed since the beginning, and each living back end still gets its share."""
        time_was = time.monotonic()
        time.sleep(seconds)  # The window that is looked at.
        count = self.driver.none_failed(what, self.began)
        by = self.driver.by(time_was)
        missing = [one.key for one in self.instances if not by[one.key]]
        if missing:
            raise Failure(f"{what}: {', '.join(missing)} live, are registered and get nothing")
        self.case.figure("requests", count)
        self.case.figure("failed", 0)

    def dead_one_goes(self, gone: Instance, bound: float, why: str) -> None:
        """A back end that ends in order: out of the registry first, then its process."""
        began = time.monotonic()
        self.registrar.deregister(gone)
        probe = self.world.probe("orders")
        answer = probe.until_gone(gone.key, bound + 30)
        self.world.backends.kill(gone)
        took = max(0.0, answer.sent - began)
        self.case.within("a deregistered one gone after, s", took, bound, why)
        self.instances = [one for one in self.instances if one != gone]

    def everyday_again(self) -> None:
        """After the outage the registry is believed again as before: a new one comes, an old one goes."""
        new = instances("orders", 1, start=50)[0]
        self.world.backends.start(new)
        began = time.monotonic()
        self.registrar.register(new)
        self.world.probe("orders").until_seen(new.key, 30)
        self.case.figure("a new one routed after, s", time.monotonic() - began)
        if self.case.kind.type == "ZooKeeper":
            bound = ZOOKEEPER_SETTLE + ZOOKEEPER_ASKED
            why = f"{ZOOKEEPER_SETTLE} s after a new contact it is not known whose node goes; then it is asked each 5 s"
        else:
            bound = self.case.kind.bound + 1
            why = (
                f"it was seen in the new session, so its end is believed: {self.case.kind.why}; 1 s for a busy machine"
            )
        self.dead_one_goes(self.instances[0], bound, why)
        self.all_serve("after a change")


def _outage(case: Case, traffic: Traffic, seconds: float, away: Callable[[], None], back: Callable[[], None]) -> None:
    away()
    began = time.monotonic()
    traffic.world.until_state("legacy", "stale", "degraded", "lost", within=60)
    case.figure("seen as stale after, s", time.monotonic() - began)
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))  # The outage itself.
    traffic.driver.none_failed("while the registry is away", traffic.began)
    back()


@scenario("kill-keep", *ALL)
def kill_keep(case: Case) -> None:
    """kill -9 of the registry, away for 10 s, back with its data."""
    server = case.server()
    traffic = Traffic(case, server)
    _outage(case, traffic, 10, server.kill, lambda: server.restart(keep_data=True))
    traffic.live_again(120)
    traffic.all_serve("kill -9, back with its data", 10 if case.quick else 30)
    traffic.everyday_again()


@scenario("kill-wipe", *ALL)
def kill_wipe(case: Case) -> None:
    """kill -9 of the registry, back EMPTY: applications register again by their heartbeats (up to 5 s later)."""
    server = case.server()
    traffic = Traffic(case, server)
    _outage(case, traffic, 5, server.kill, lambda: server.restart(keep_data=False))
    traffic.live_again(120)
    traffic.all_serve("kill -9, back empty", 15 if case.quick else 40)
    traffic.everyday_again()


@scenario("kill-wipe-silent", *ALL)
def kill_wipe_silent(case: Case) -> None:
    """Back EMPTY, and two of five applications never register again (they died meanwhile): these go after the settle
    time and a confirmation, the other three never miss a request."""
    server = case.server()
    settle = 30
    traffic = Traffic(case, server, guard={"settle": f"{settle}s"})
    dead = traffic.instances[:2]
    traffic.driver.stop()
    traffic.registrar.abandon(*dead)
    server.kill()
    server.restart(keep_data=False)
    began = time.monotonic()
    traffic.world.until_state("legacy", "live", within=120)
    probe = traffic.world.probe("orders")
    for one in dead:
        probe.until_gone(one.key, settle + 60, quiet=80)
    took = time.monotonic() - began
    case.figure("settle, s", settle)
    case.figure("dead ones gone after contact, s", took)
    case.figure("events", len(traffic.world.events("legacy")))
    traffic.world.backends.kill(*dead)
    traffic.instances = traffic.instances[2:]
    traffic.driver = traffic.world.drive("orders", RATE)
    traffic.began = time.monotonic()
    traffic.all_serve("after the dead ones went")


@scenario("freeze", *ALL)
def freeze(case: Case) -> None:
    """The registry is stopped (SIGSTOP) for 60 s, as a network cut that nobody announces, then goes on."""
    seconds = 15 if case.quick else 60
    server = case.server()
    traffic = Traffic(case, server)
    _outage(case, traffic, seconds, server.freeze, server.thaw)
    traffic.live_again(120)
    traffic.all_serve(f"SIGSTOP for {seconds} s", 10 if case.quick else 30)
    case.figure("frozen, s", seconds)
    traffic.everyday_again()


@scenario("session-expiry", "zookeeper", "nacos3", "nacos2")
def session_expiry(case: Case) -> None:
    """The program's own session ends: its connections are silent for longer than the session's time-out, while the
    registry and the applications live on."""
    server = case.server()
    relays = case.relays(server, ADDRESSES[:1])[ADDRESSES[0]]
    traffic = Traffic(case, server, f"{ADDRESSES[0]}:{server.port + RELAYED}")
    _outage(
        case,
        traffic,
        10 if case.quick else 40,
        lambda: [relay.hold() for relay in relays],
        lambda: [act() for relay in relays for act in (relay.cut, relay.mend)],
    )
    traffic.live_again(120)
    traffic.all_serve("session expired")
    traffic.everyday_again()


@scenario("one-of-three-dead", *ALL)
def one_of_three(case: Case) -> None:
    """Three addresses; the first is dead from the start, then the one in use is cut, then all mend."""
    server = case.server()
    relays = case.relays(server)
    for relay in relays[ADDRESSES[0]]:
        relay.cut()
    traffic = Traffic(case, server, *(f"{address}:{server.port + RELAYED}" for address in ADDRESSES))
    case.figure("live with one of three dead", "yes")
    used = max(ADDRESSES[1:], key=lambda address: sum(relay.accepted for relay in relays[address]))
    before = {address: sum(relay.accepted for relay in relays[address]) for address in ADDRESSES}
    for relay in relays[used]:
        relay.cut()
    other = next(address for address in ADDRESSES[1:] if address != used)
    began = time.monotonic()
    until("the third is called", lambda: sum(one.accepted for one in relays[other]) > before[other], 60)
    case.figure("third address called after, s", time.monotonic() - began)
    traffic.world.until_state("legacy", "live", "degraded", within=60)
    new = instances("orders", 1, start=60)[0]
    traffic.world.backends.start(new)
    began = time.monotonic()
    traffic.registrar.register(new)
    traffic.world.probe("orders").until_seen(new.key, 30)
    case.figure("a new one routed after, s", time.monotonic() - began)
    traffic.all_serve("two of three addresses dead")


@scenario("addresses-edited", *ALL)
def addresses_edited(case: Case) -> None:
    """The address list is edited live: another address is added, the old one removed, then the old one dies."""
    server = case.server()
    relays = case.relays(server, ADDRESSES[:2])
    first, second = (f"{address}:{server.port + RELAYED}" for address in ADDRESSES[:2])
    traffic = Traffic(case, server, first)
    traffic.write(first, second)
    traffic.all_serve("an address added")
    before = sum(one.accepted for one in relays[ADDRESSES[1]])
    traffic.write(second)
    began = time.monotonic()
    until("the new address is called", lambda: sum(one.accepted for one in relays[ADDRESSES[1]]) > before, 30)
    case.within("moved after, s", time.monotonic() - began, 5, "an edit is seen at once, and one connection is made")
    traffic.world.until_state("legacy", "live", within=60)
    for relay in relays[ADDRESSES[0]]:
        relay.cut()
    traffic.all_serve("the old address died", 5)
    case.check(traffic.world.state("legacy") == "live", "the death of an address that left the list was felt")
    traffic.everyday_again()


@scenario("wrong-password", *ALL)
def wrong_password(case: Case) -> None:
    """The secret file becomes wrong mid-life and right again: stale or degraded with a reason, nothing removed."""
    server, right = guarded(case)
    file = case.world().secret("password", right)
    login = {"tokenFile": file} if case.kind.type == "Consul" else {"passwordFile": file, "username": _user(case)}
    traffic = Traffic(case, server, login=login)
    case.world().secret("password", "wr0ng" if case.kind.type != "Consul" else right.replace("1", "9"))
    if case.kind.type == "ZooKeeper":
        # A session keeps the identity that it has; only a new connection is asked again.
        server.restart(keep_data=True)
    began = time.monotonic()
    bound, why = SEEN[case.kind.type]
    traffic.world.until_state("legacy", "stale", "degraded", within=bound + 60)
    case.within("seen after, s", time.monotonic() - began, bound, why)
    said = str(traffic.world.registry("legacy"))
    case.check("wr0ng" not in said and right not in said, "the API shows a secret")
    traffic.driver.none_failed("with a wrong password", traffic.began)
    case.world().secret("password", right)
    traffic.live_again(120)
    traffic.all_serve("the password is right again")
    log = (traffic.world.place / "isthmus.log").read_text(errors="replace")
    case.check("wr0ng" not in log and right not in log, "the log shows a secret")


def _user(case: Case) -> str:
    return "nacos" if case.kind.type == "Nacos" else "bed"


@scenario("program-restart", *ALL)
def program_restart(case: Case) -> None:
    """The registry is dead AND the program is started again: it serves its last good view, marked stale."""
    server = case.server()
    traffic = Traffic(case, server)
    server.kill()
    traffic.world.until_state("legacy", "stale", "lost", within=60)
    traffic.world.stop_program()
    traffic.world.start_program()
    case.check(traffic.world.state("legacy") != "live", "a registry that is dead is shown as live")
    traffic.world.stop_program()
    traffic.world.envoy.kill()
    traffic.driver.stop()
    traffic.world.envoy.wait()
    traffic.world.start_program()
    # An Envoy that knows nothing: what it gets is what the program remembers.
    traffic.world.start_envoy()
    traffic.world.until_served("orders", *traffic.instances, within=30)
    traffic.driver = traffic.world.drive("orders", RATE)
    traffic.began = time.monotonic()
    traffic.all_serve("from the last good view")
    server.start()
    traffic.live_again(120)
    traffic.all_serve("the registry is back", 10)


@scenario("host-dies", "zookeeper", "nacos3", "consul", "eureka")
def host_dies(case: Case) -> None:
    """An application's host dies without a word in a healthy session: its instance is gone when the registry's own
    rule (session, heartbeat, lease) says so, plus the way to Envoy."""
    server = case.server()
    world = case.world()
    stay, dead = instances("orders", 4), instances("orders", 1, start=70)[0]
    registrar, doomed = case.registrar(server), case.registrar(server)
    world.backends.start(*stay, dead)
    registrar.register(*stay)
    doomed.register(dead)
    world.write("world", case.registry(server.address()), *case.served())
    world.start()
    world.until_served("orders", *stay, dead, within=60)
    began = time.monotonic()
    if case.kind.type == "ZooKeeper":
        doomed.die()
    doomed.abandon(dead)
    probe = world.probe("orders")
    answer = probe.until_gone(dead.key, 120, quiet=200)
    case.figure("gone, whatever else happened, after, s", answer.sent - began)
    if any(one.get("what") == "doubt" for one in world.events("legacy")):
        # On a machine that is too busy even a session of the program's own may end; that has scenarios of its own.
        raise NotRun("the program's session did not stay healthy meanwhile")
    why = {
        "ZooKeeper": "its session ends after 6 s",
        "Nacos": "Nacos removes an instance 30 s after its last heartbeat, and looks each 5 s",
        "Consul": "its check is critical 30 s after the last heartbeat",
        "Eureka": "its lease ends after 15 s; Eureka's own rule doubles that, and looks each 2 s",
    }
    bound = {"ZooKeeper": 10, "Nacos": 40, "Consul": 35, "Eureka": 40}[case.kind.type]
    case.within("gone after, s", answer.sent - began, bound, why[case.kind.type])


@scenario("empty-for-real", *ALL)
def empty_for_real(case: Case) -> None:
    """In a healthy session the last instances are deregistered one by one: believed at once, no guard in the way."""
    server = case.server()
    registrar = case.registrar(server)
    world = case.world()
    all_ = instances("orders", 2)
    world.backends.start(*all_)
    registrar.register(*all_)
    # The session is made to look settled at once; the unconfirmed time has scenarios of its own.
    world.write("world", case.registry(server.address(), guard={"settle": "1s"}), *case.served())
    world.start()
    world.until_served("orders", *all_, within=60)
    world.until_state("legacy", "live")
    time.sleep(3)  # The settle time.
    for one in all_:
        registrar.deregister(one)
    began = time.monotonic()
    probe = world.probe("orders")
    until("nobody serves", lambda: not probe.get().good, 30)
    took = time.monotonic() - began
    case.within("empty after, s", took, case.kind.bound + 1, f"{case.kind.why}; 1 s for a busy machine")
