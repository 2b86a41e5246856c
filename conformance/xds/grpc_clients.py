"""gRPC programs without an Envoy: grpcio's own xDS client and that of grpc-js, two code bases."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from case import SOTW_ADS, Case, Outcome
from client import LIMIT
from scenarios.proxyless import CLAIM, SERVICE
from server import until
from stream import End
from verdict import Failure, NotRun, NotYet, Verdict, check
from wire import LDS
from world import World

HERE = Path(__file__).resolve().parent
Command = list[str]


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

    def __init__(self, command: Command, xds: str) -> None:
        bootstrap = {
            "xds_servers": [
                {"server_uri": xds, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}
            ],
            # grpc-js insists on a locality.
            "node": {"id": "grpc-program", "locality": {}, "metadata": {"isthmus": CLAIM}},
        }
        environment = os.environ | {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
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
            return self._lines.get(timeout=LIMIT)
        except (OSError, queue.Empty):
            raise Failure(f"the client program does not answer; it ended with {self._process.poll()}") from None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def programs(grpc_js: Callable[[], Path]) -> dict[str, Callable[[], Command]]:
    """How each is started. `grpc_js` fetches its packages, and is called only when there is something to play."""

    def node() -> Command:
        return ["node", str(grpc_js() / "child.js")]

    return {"grpcio": lambda: [sys.executable, str(HERE / "grpc_child.py")], "grpc-js": node}


def play(command: Callable[[], Command], binary: Path) -> Outcome:
    began = time.monotonic()
    case = Case(binary, SOTW_ADS)
    try:
        with case.stack:
            _script(case, command)
        outcome = Outcome(Verdict.PASS, "; ".join(case.notes))
    except NotYet as reason:
        outcome = Outcome(Verdict.NOT_YET, str(reason))
    except NotRun as reason:
        outcome = Outcome(Verdict.NOT_RUN, str(reason))
    except Failure as reason:
        outcome = Outcome(Verdict.FAIL, str(reason), case.transcript)
    outcome.seconds = time.monotonic() - began
    return outcome


def _script(case: Case, command: Callable[[], Command]) -> None:
    one = Echo("one", "127.0.0.1")
    two = Echo("two", "127.0.0.2", one.port)
    case.stack.callback(one.close)
    case.stack.callback(two.close)
    world = World.of("a")
    world.services["a"].endpoints = ["127.0.0.1"]
    world.services["a"].target = one.port
    server = case.serve(world=world)
    _ask_for_the_role(case)
    program = Program(command(), server.xds)
    case.stack.callback(program.close)
    _answered_by(program, "one")
    world.services["a"].endpoints = ["127.0.0.2"]
    case.commit("the endpoint changes")
    _answered_by(program, "two")
    server.stop(signal.SIGKILL)
    check(program.call() == "ok two", "a call while the control plane is away")
    server.start()
    world.services["a"].endpoints = ["127.0.0.1"]
    case.commit("the endpoint changes back, after a restart")
    _answered_by(program, "one", within=30)
    case.note("calls, an endpoint change, and a restart of the control plane")


def _ask_for_the_role(case: Case) -> None:
    probe = case.client("probe", "probe", isthmus=CLAIM)
    probe.ask(LDS, [SERVICE])
    got = probe.next(within=2)
    if isinstance(got, End):
        raise NotYet(f"role grpc is refused: {got.details}")
    if got is None or SERVICE not in got.names:
        raise NotYet(f"role grpc is taken, but there is no listener {SERVICE}")
    probe.close()


def _answered_by(program: Program, name: str, within: float = LIMIT) -> None:
    said: list[str] = []

    def asked() -> bool:
        said.append(program.call())
        return said[-1] == f"ok {name}"

    try:
        until(f"back end {name} answers", asked, within, pause=0.05)
    except Failure as failure:
        raise Failure(f"{failure}; the last call: {said[-1] if said else 'none'}") from None
