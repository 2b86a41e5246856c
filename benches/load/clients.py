"""The two clients: `examples/load.rs`, and the independent judge's. Both print one object of the same shape."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import Trouble, start, stop, tail
from servers import RELEASE, Server

LIMIT = 900.0


@dataclass(frozen=True)
class Load:
    """What the client does. Times are seconds."""

    n: int
    mode: str
    phases: tuple[str, ...]
    services: int
    single: int = 20
    gap: float = 0.3
    changes: int = 200
    over: float = 20
    settle: float = 3
    slow_for: float = 6


def own(load: Load, server: Server) -> dict[str, Any]:
    command: list[str | Path] = [RELEASE / "examples" / "load", "--addr", server.xds, "--pid", str(server.pid)]
    command += ["--n", str(load.n), "--mode", load.mode, "--run", ",".join(load.phases)]
    command += ["--services", str(load.services), "--single", str(load.single), "--gap", str(load.gap)]
    command += ["--changes", str(load.changes), "--over", str(load.over), "--settle", str(load.settle)]
    command += ["--slow-for", str(load.slow_for), "--trigger", server.trigger, "--node", json.dumps(server.node)]
    if server.template is not None:
        command += ["--file-template", server.template]
    return _run(command, server)


def judge(load: Load, server: Server, tools: Path) -> dict[str, Any]:
    command: list[str | Path] = [tools / "xdsload", "-addr", server.xds, "-pid", str(server.pid)]
    command += ["-n", str(load.n), "-mode", load.mode, "-run", ",".join(load.phases)]
    command += ["-services", str(load.services), "-single", str(load.single), "-gap", f"{load.gap}s"]
    command += ["-changes", str(load.changes), "-over", f"{load.over}s", "-settle", f"{load.settle}s"]
    command += ["-slow-for", f"{load.slow_for}s", "-trigger", server.trigger, "-node", json.dumps(server.node)]
    if server.template is not None:
        command += ["-file-template", server.template]
    return _run(command, server)


def _run(command: list[str | Path], server: Server) -> dict[str, Any]:
    log = server.place / "client.log"
    client = start(command, log, piped=True)
    assert client.stdout is not None and client.stdin is not None
    limit = threading.Timer(LIMIT, client.kill)
    limit.start()
    result: dict[str, Any] = {}
    try:
        for line in client.stdout:
            said = json.loads(line)
            if "ask" in said:
                print(json.dumps(server.asked(said["ask"])), file=client.stdin, flush=True)
            else:
                result = said
        client.wait()
    finally:
        limit.cancel()
        stop(client)
    if not result:
        raise Trouble(f"the client said nothing: {tail(log)} | server: {tail(server.log)}")
    if not result["ok"]:
        bad = [it["phase"] for it in result["phases"] if not it["ok"]]
        result["trouble"] = f"not ok: {', '.join(bad) or 'views or oddities'}; {tail(log)}"
    result["load1"] = os.getloadavg()[0]
    return result
