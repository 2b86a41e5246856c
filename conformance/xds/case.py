"""A check: a script with its number, the rules that it proves, and the forms of the protocol that it is played in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import base_pb2
from google.protobuf import json_format

from client import Client
from library import Library, Resource
from server import Folder, Server
from stream import EAGER, SMALL_WINDOW
from verdict import Failure, NotRun, NotYet, Verdict
from wire import Form
from world import GATEWAY, NAMESPACE, World


@dataclass(frozen=True)
class Variant:
    form: Form
    aggregated: bool

    def __str__(self) -> str:
        return f"{self.form.value} {'aggregated' if self.aggregated else 'single-type'}"


SOTW_ADS = Variant(Form.SOTW, True)
SOTW_SINGLE = Variant(Form.SOTW, False)
DELTA_ADS = Variant(Form.DELTA, True)
DELTA_SINGLE = Variant(Form.DELTA, False)
SOTW = (SOTW_ADS, SOTW_SINGLE)
DELTA = (DELTA_ADS, DELTA_SINGLE)
ADS = (SOTW_ADS, DELTA_ADS)
ALL = (SOTW_ADS, SOTW_SINGLE, DELTA_ADS, DELTA_SINGLE)

Script = Callable[["Case"], None]

# The program that `Case.library` starts.
LIBRARY: Path | None = None


@dataclass(frozen=True)
class Check:
    """A scenario has the number that it has in the rule list; a further check is named by the rule that it is about."""

    name: str
    text: str
    rules: tuple[int, ...]
    variants: tuple[Variant, ...]
    script: Script
    # Measures time or load: nothing else runs beside it.
    alone: bool = False
    # Waits for a long time: started first, and the others run beside it.
    long: bool = False


CHECKS: list[Check] = []


def scenario(
    number: int, rules: Sequence[int], variants: Sequence[Variant], alone: bool = False, long: bool = False
) -> Callable[[Script], Script]:
    return _register(str(number), rules, variants, alone, long)


def rule(
    number: int, variants: Sequence[Variant], also: Sequence[int] = (), alone: bool = False
) -> Callable[[Script], Script]:
    return _register(f"rule {number}", (number, *also), variants, alone, False)


def _register(
    name: str, rules: Sequence[int], variants: Sequence[Variant], alone: bool, long: bool
) -> Callable[[Script], Script]:
    def register(script: Script) -> Script:
        text = " ".join((script.__doc__ or "").split())
        CHECKS.append(Check(name, text, tuple(rules), tuple(variants), script, alone, long))
        return script

    return register


@dataclass
class Outcome:
    verdict: Verdict
    reason: str = ""
    transcript: list[str] = field(default_factory=list)
    seconds: float = 0.0


def node(node_id: str, isthmus: dict[str, Any] | None = None, features: Sequence[str] = ()) -> base_pb2.Node:
    claim = isthmus or {"role": "gateway", "gateway": f"{NAMESPACE}/{GATEWAY}"}
    out = base_pb2.Node(id=node_id, cluster=f"{GATEWAY}.{NAMESPACE}", user_agent_name="judge")
    out.client_features.extend(features)
    json_format.ParseDict({"isthmus": claim}, out.metadata)
    return out


class Case:
    """What a script has at hand. Everything that it opens is closed when it ends."""

    def __init__(self, binary: Path, variant: Variant) -> None:
        self.binary = binary
        self.variant = variant
        self.form = variant.form
        self.world = World()
        self.clients: list[Client] = []
        self.transcript: list[str] = []
        self.notes: list[str] = []
        self.stack = ExitStack()
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The first server; started by `serve`."""
        if self._server is None:
            raise Failure("the script has not started a server")
        return self._server

    def serve(self, *services: str, world: World | None = None, bulk: World | None = None, **settings: str) -> Server:
        """Starts the server with a cluster for each of these services, and `bulk` in a file of its own."""
        self.world = world or World.of(*services)
        server = self.make_server(None, **settings)
        server.folder.write("world.yaml", self.world.text())
        if bulk is not None:
            server.folder.write("bulk.yaml", bulk.text())
        server.start()
        self.say(f"# the server is up; clusters {sorted(self.world.routes) or 'none'}")
        return server

    def make_server(self, folder: Folder | None = None, **settings: str) -> Server:
        """A server that is not started yet."""
        given = {name.replace("_", "-"): value for name, value in settings.items()}
        server = Server(self.binary, given, folder)
        self._server = self._server or server
        self.stack.callback(server.remove)
        return server

    def library(self, *resources: Resource) -> Library:
        """Starts the library face, for what no document of the product asks for yet; give its address to clients."""
        library = Library(LIBRARY)
        self.stack.callback(library.remove)
        library.serve(resources)
        self.say(f"# the library serves {len(resources)} resources")
        return library

    def client(
        self,
        node_id: str = "judge-1",
        title: str = "",
        isthmus: dict[str, Any] | None = None,
        server: Server | None = None,
        features: Sequence[str] = (),
        small_window: bool = False,
        eager: bool = False,
        deadline: float | None = None,
        address: str = "",
    ) -> Client:
        """`eager`: goes on trying to connect, many times a second, where nobody listens yet."""
        address = address or (server or self.server).xds
        options = SMALL_WINDOW if small_window else EAGER if eager else ()
        who = node(node_id, isthmus, features)
        variant = self.variant
        client = Client(address, variant.form, variant.aggregated, who, self.say, options)
        client.title, client.patient, client.deadline = title or "client", eager, deadline
        self.clients.append(client)
        self.stack.callback(client.close)
        return client

    def commit(self, what: str, wait: bool = True) -> None:
        """Writes the world as it is now. What follows happens after the change was published."""
        self.say(f"# {what}")
        self.server.commit(self.world, wait)

    def say(self, line: str) -> None:
        with self._lock:
            self.transcript.append(f"{(time.monotonic() - self._began) * 1000:6.0f} ms  {line}")

    def note(self, text: str) -> None:
        """A figure for the report."""
        self.say(f"= {text}")
        self.notes.append(text)


def play(check: Check, variant: Variant, binary: Path) -> Outcome:
    began = time.monotonic()
    case = Case(binary, variant)
    try:
        with case.stack:
            check.script(case)
            broken = sorted({text for client in case.clients for text in client.violations})
            if broken:
                raise Failure("; ".join(broken))
        outcome = Outcome(Verdict.PASS, "; ".join(case.notes))
    except NotYet as reason:
        outcome = Outcome(Verdict.NOT_YET, str(reason))
    except NotRun as reason:
        outcome = Outcome(Verdict.NOT_RUN, str(reason))
    except Failure as reason:
        outcome = Outcome(Verdict.FAIL, str(reason), case.transcript)
    except Exception as error:  # noqa: BLE001 - a broken script is a failure of its own, not the end of the run
        outcome = Outcome(Verdict.FAIL, f"the script itself failed: {type(error).__name__}: {error}", case.transcript)
    outcome.seconds = time.monotonic() - began
    return outcome
