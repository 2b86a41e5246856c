"""What a scenario is handed: a folder, servers and a world that go away by themselves, and a place for its figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from bed import HOST, Failure, Instance, Loop, NotRun, Registrar, Relay, Server
from consul import Consul
from eureka import Eureka
from nacos import Nacos2, Nacos3
from world import World, from_registry, registry, service
from zookeeper import ZooKeeper


class Verdict(Enum):
    PASS = "pass"
    FAIL = "FAIL"
    NOT_RUN = "not run"


@dataclass
class Outcome:
    verdict: Verdict
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)
    # Figure: what it may be at most, and why.
    bounds: dict[str, str] = field(default_factory=dict)
    timeline: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Kind:
    """One kind of registry: how its server is made, and how a Registry document for it looks."""

    name: str
    type: str
    make: Callable[..., Server]
    group: str = ""
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    # Ports that belong to one address: Nacos' clients add 1000 for gRPC.
    ports: tuple[int, ...] = (0,)
    # Bound of register -> routed and deregister -> not routed, seconds, and why it is that.
    bound: float = 0.5
    why: str = "0.5 s is the target; the registry tells of a change at once"


EUREKA = {"eureka": {"pollMin": "1s", "pollMax": "5s"}}
GATHERED = "Nacos gathers the changes of a service for 0.5 s before it pushes; 0.5 s is the target for the rest"
POLLED = "the server of this bed renews its answers each second (Eureka's default is 30 s), a poll is due within 2 s"
POLLED += " while changes go on, and 0.5 s for the rest"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("nacos3", "Nacos", Nacos3, "DEFAULT_GROUP", ports=(0, 1000), bound=1.0, why=GATHERED),
        Kind("nacos2", "Nacos", Nacos2, "DEFAULT_GROUP", ports=(0, 1000), bound=1.0, why=GATHERED),
        Kind("zookeeper", "ZooKeeper", ZooKeeper, options={"zookeeper": {"sessionTimeout": "6s"}}),
        Kind("consul", "Consul", Consul),
        Kind("eureka", "Eureka", Eureka, options=EUREKA, bound=3.5, why=POLLED),
    )
}


@dataclass(frozen=True)
class Scenario:
    name: str
    text: str
    play: Callable[[Case], None]
    kinds: tuple[str, ...]
    # Needs the built program; the bed's own smoke tests do not.
    program: bool = True


SCENARIOS: list[Scenario] = []


def scenario(
    name: str, *kinds: str, program: bool = True
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """The docstring is what the report says of it. Without kinds it is played once, with none."""

    def add(play: Callable[[Case], None]) -> Callable[[Case], None]:
        text = " ".join((play.__doc__ or "").split())
        SCENARIOS.append(Scenario(name, text, play, kinds or ("",), program))
        return play

    return add


ALL = tuple(KINDS)
ADDRESSES = ("10.99.0.11", "10.99.0.12", "10.99.0.13")
# The servers themselves listen on all addresses, so the relays have ports of their own.
RELAYED = 20000


class Case:
    def __init__(self, work: Path, kind: str, binary: Path, envoy: Path, quick: bool) -> None:
        self.work, self.binary, self.envoy, self.quick = work, binary, envoy, quick
        self.kind = KINDS.get(kind, Kind("", "", ZooKeeper))
        self.stack = ExitStack()
        self.figures: dict[str, Any] = {}
        self.bounds: dict[str, str] = {}
        self.began = time.monotonic()
        self.world_: World | None = None
        self._loop: Loop | None = None

    # What a scenario starts

    def server(self, **options: Any) -> Server:
        server = self.kind.make(self.work, **options)
        self.stack.callback(server.end)
        server.start()
        self.figures["server ready in, s"] = round(server.started_in, 1)
        return server

    def registrar(self, server: Server, **options: Any) -> Registrar:
        out = server.registrar(**options)
        self.stack.callback(out.close)
        return out

    def world(self) -> World:
        if self.world_ is None:
            self.world_ = World(self.work, self.binary, self.envoy)
            self.stack.callback(self.world_.close)
        return self.world_

    def relays(self, server: Server, addresses: tuple[str, ...] = ADDRESSES) -> dict[str, list[Relay]]:
        """Addresses of their own in front of the one server; each can be cut by itself."""
        self._loop = self._loop or Loop()
        out: dict[str, list[Relay]] = {}
        for address in addresses:
            ports = [server.port + extra for extra in self.kind.ports]
            out[address] = [Relay(self._loop, (address, port + RELAYED), (HOST, port)) for port in ports]
            for relay in out[address]:
                self.stack.callback(relay.cut)
        return out

    def relays_to(self, target: tuple[str, int], listen: tuple[str, int]) -> Relay:
        self._loop = self._loop or Loop()
        relay = Relay(self._loop, listen, target)
        self.stack.callback(relay.cut)
        return relay

    def registry(self, *addresses: str, name: str = "legacy", **spec: Any) -> dict[str, Any]:
        return registry(name, self.kind.type, *addresses, **(self.kind.options | spec))

    def served(self, name: str = "orders", of: str = "legacy", **spec: Any) -> list[dict[str, Any]]:
        """MeshService and route for a service of this registry."""
        return service(name, from_registry(of, name, self.kind.group), **spec)

    # What a scenario says

    def figure(self, name: str, value: Any) -> None:
        self.figures[name] = round(value, 3) if isinstance(value, float) else value

    def within(self, name: str, value: float, bound: float, why: str) -> None:
        """A figure that must not be more than its bound; the report shows both, and why it is that."""
        self.figure(name, value)
        self.bounds[name] = f"≤ {bound:g}: {why}"
        self.check(value <= bound, f"{name}: {value:.2f}, more than {bound:g} ({why})")

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            raise Failure(what)


def instances(name: str, count: int, start: int = 1, block: int = 1, **rest: Any) -> list[Instance]:
    """`count` instances in 10.99.BLOCK.0 and on."""
    numbers = range(start, start + count)
    return [Instance(name, f"10.99.{block + number // 250}.{number % 250 + 1}", **rest) for number in numbers]


def guarded(case: Case) -> tuple[Server, str]:
    """A server that wants a password or a token, and what it is."""
    if case.kind.type == "Consul":
        right = "11111111-2222-3333-4444-555555555555"
        return case.server(token=right), right
    right = "c0rrect-horse-7"
    server = case.server(password=right)
    if case.kind.type == "Nacos":
        server.set_password(right)
    return server, right


def play(scenario_: Scenario, kind: str, work: Path, binary: Path, envoy: Path, quick: bool) -> Outcome:
    began = time.monotonic()
    work.mkdir(parents=True, exist_ok=True)
    case = Case(work, kind, binary, envoy, quick)
    timeline = ""
    try:
        with case.stack:
            try:
                scenario_.play(case)
                if case.world_ is not None and case.world_.envoy is not None:
                    case.check(case.world_.rejected() == 0, "Envoy rejected something")
            finally:
                # Before all of it is taken down, which costs requests and says nothing.
                timeline = case.world_.timeline(case.began) if case.world_ else ""
        outcome = Outcome(Verdict.PASS, "")
    except NotRun as reason:
        outcome = Outcome(Verdict.NOT_RUN, str(reason))
    except Failure as reason:
        outcome = Outcome(Verdict.FAIL, str(reason))
    except Exception as error:  # noqa: BLE001 - a broken script is a failure of its own, not the end of the run
        outcome = Outcome(Verdict.FAIL, f"the script itself failed: {type(error).__name__}: {error}")
    outcome.figures, outcome.bounds, outcome.timeline = case.figures, case.bounds, timeline
    outcome.seconds = time.monotonic() - began
    return outcome
