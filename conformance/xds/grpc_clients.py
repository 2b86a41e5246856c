"""gRPC programs without an Envoy: grpcio's own xDS client and that of grpc-js, two code bases."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc

from case import SOTW_ADS, Case, Outcome
from client import LIMIT
from scenarios.proxyless import SERVICE, edge
from server import START_LIMIT, until
from verdict import Failure, NotRun, Verdict, check
from world import World

HERE = Path(__file__).resolve().parent
Command = list[str]


@dataclass(frozen=True)
class Language:
    """A code base."""

    command: Callable[[], Command]
    # Whether it sees that a listener is back which is the same as before. grpc-js 1.14.1 compares what comes with what it
    # had before the deletion, and tells nobody.
    sees_return: bool = True


class Echo:
    """A back end that answers every call with its own name."""

    def __init__(self, name: str, address: str, port: int = 0) -> None:
        handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: name.encode(), bytes, bytes)
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("judge.Echo", {"Say": handler}),))
        self.port = self._server.add_insecure_port(f"{address}:{port}")
        self._server.start()

    def close(self) -> None:
        self._server.stop(0)


class Program:
    """A client program: a line in is one call, a line out its result."""

    def __init__(self, command: Command, bootstrap: str) -> None:
        environment = os.environ | {"GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap}
        self._process = subprocess.Popen(
            [*command, f"xds:///{SERVICE}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def call(self) -> str:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("call\n")
            self._process.stdin.flush()
            # The first answer also waits for the program to start.
            return self._lines.get(timeout=START_LIMIT)
        except (OSError, queue.Empty):
            raise Failure(f"the client program does not answer; it ended with {self._process.poll()}") from None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def programs(grpc_js: Callable[[], Path]) -> dict[str, Language]:
    """How each is started. `grpc_js` fetches its packages, and is called only when there is something to play."""

    def node() -> Command:
        return ["node", str(grpc_js() / "child.js")]

    return {
        "grpcio": Language(lambda: [sys.executable, str(HERE / "grpc_child.py")]),
        "grpc-js": Language(node, sees_return=False),
    }


def play(language: Language, binary: Path) -> Outcome:
    began = time.monotonic()
    case = Case(binary, SOTW_ADS)
    try:
        with case.stack:
            _script(case, language)
        outcome = Outcome(Verdict.PASS, "; ".join(case.notes))
    except NotRun as reason:
        outcome = Outcome(Verdict.NOT_RUN, str(reason))
    except Failure as reason:
        outcome = Outcome(Verdict.FAIL, str(reason), case.transcript)
    outcome.seconds = time.monotonic() - began
    return outcome


def _script(case: Case, language: Language) -> None:
    one = Echo("one", "127.0.0.1")
    two = Echo("two", "127.0.0.2", one.port)
    case.stack.callback(one.close)
    case.stack.callback(two.close)
    world = World.of("a")
    world.services["a"].endpoints = ["127.0.0.1"]
    world.services["a"].target = one.port
    server = case.serve(world=world)
    program = Program(language.command(), _bootstrap(case))
    case.stack.callback(program.close)
    _answered_by(program, "one")
    # Reports come each 10 s, and name a service once it is known.
    until("its calls are an edge of the topology", lambda: program.call() != "" and edge(server, "a") is not None, 30)
    world.services["a"].endpoints = ["127.0.0.2"]
    case.commit("the endpoint changes")
    _answered_by(program, "two")
    world.add("other")
    case.commit("another service comes")
    check(program.call() == "ok two", "a call while another service comes")
    server.stop(signal.SIGKILL)
    check(program.call() == "ok two", "a call while the control plane is away")
    server.start()
    world.services["a"].endpoints = ["127.0.0.1"]
    case.commit("the endpoint changes back, after a restart")
    _answered_by(program, "one", within=30)
    refused = [proxy for proxy in server.proxies() if any(kind.get("nack") for kind in proxy["types"])]
    check(not refused, f"the client refused something: {refused}")
    gone = world.services["a"], world.routes["a"]
    world.drop("a")
    case.commit("the service goes")
    _until(program, "calls fail once the service is gone", lambda said: said.startswith("error"))
    said = "calls and their reports, an endpoint change, a restart of the control plane, a service that goes"
    if language.sees_return:
        world.services["a"], world.routes["a"] = gone
        case.commit("the service comes back")
        _answered_by(program, "one")
        said += " and comes back"
    case.note(said)


def _bootstrap(case: Case) -> str:
    """What the program itself prints for such a client."""
    command = [str(case.binary), "bootstrap", "--role", "grpc", "--xds", case.server.xds, "--node-id", "grpc-program"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"isthmus bootstrap: {done.stderr.strip()}")
    return done.stdout


def _answered_by(program: Program, name: str, within: float = LIMIT) -> None:
    _until(program, f"back end {name} answers", lambda said: said == f"ok {name}", within)


def _until(program: Program, what: str, good: Callable[[str], bool], within: float = LIMIT) -> None:
    """Calls until the result is as wanted: what was sent last takes effect in the client at some moment of its own."""
    said: list[str] = []

    def asked() -> bool:
        said.append(program.call())
        return good(said[-1])

    try:
        until(what, asked, within, pause=0.05)
    except Failure as failure:
        raise Failure(f"{failure}; the last call: {said[-1] if said else 'none'}") from None
