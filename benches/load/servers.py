"""The servers that are measured, each behind the same face: start, where to ask for a change, come back, stop."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import documents
from machine import ROOT, free_address, request, start, stop, wait_ready

RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
PLAIN_NODE: dict[str, object] = {"id": "load-{i}", "cluster": "load"}


class Server:
    """A program with an xDS address; `trigger` says how the client makes a change."""

    node: dict[str, object] = PLAIN_NODE

    def __init__(self, place: Path, services: int) -> None:
        self.place = place
        self.services = services
        self.log = place / "server.log"
        self.xds = free_address()
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        if self.process is not None:
            stop(self.process)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def trigger(self) -> str:
        raise NotImplementedError

    @property
    def template(self) -> Path | None:
        """What a trigger that is a file writes."""
        return None

    def asked(self, question: str) -> dict[str, object]:
        """The client has let go of the server and wants to come back, to it or to its replica."""
        raise NotImplementedError(question)

    def _where(self) -> dict[str, object]:
        return {"addr": self.xds, "pid": self.pid, "trigger": self.trigger}


class Changed(Server):
    """A server that is changed by HTTP and holds its state in memory."""

    def __init__(self, place: Path, services: int) -> None:
        super().__init__(place, services)
        self.admin = free_address()

    def command(self) -> list[str | Path]:
        raise NotImplementedError

    def start(self) -> None:
        self.process = start(self.command(), self.log)
        wait_ready(self.process, f"http://{self.admin}/ready", self.log)

    @property
    def trigger(self) -> str:
        return f"http:http://{self.admin}/bump?svc={{svc}}&seq={{seq}}"

    def asked(self, question: str) -> dict[str, object]:
        """A new process that is told the changes of the old one, so that it knows the same."""
        told = (request(f"http://{self.admin}/t0") or "").splitlines()
        last = {change["svc"]: change["seq"] for change in map(json.loads, told)}
        self.stop()
        if question == "replica":
            self.xds, self.admin = free_address(), free_address()
        self.start()
        for service, seq in last.items():
            request(f"http://{self.admin}/bump?svc={service}&seq={seq}", "POST")
        return self._where()


class Example(Changed):
    """`examples/judge.rs`, or `examples/floor.rs`: the floor."""

    def __init__(self, place: Path, services: int, name: str) -> None:
        super().__init__(place, services)
        self.name = name

    def command(self) -> list[str | Path]:
        flags = ["-services", str(self.services), "-endpoints", str(documents.ENDPOINTS)]
        return [RELEASE / "examples" / self.name, *flags, "-addr", self.xds, "-admin", self.admin]


class Program(Server):
    """`isthmus serve` with a folder: the whole control plane."""

    node: dict[str, object] = {
        **PLAIN_NODE,
        "metadata": {"isthmus": {"role": "gateway", "gateway": f"{documents.NAMESPACE}/{documents.GATEWAY}"}},
    }

    def __init__(self, place: Path, services: int, unrelated: int = 0) -> None:
        super().__init__(place, services)
        self.folder = place / "documents"
        self.state = place / "state"
        self.http = free_address()
        documents.write(self.folder, services, unrelated)
        (place / "slice.yaml").write_text(documents.slice_template())

    def start(self) -> None:
        # Waiting for a folder to be quiet is a choice of the file source, and not what is measured.
        command: list[str | Path] = [RELEASE / "isthmus", "serve", "--source-dir", self.folder]
        command += ["--state-dir", self.state]
        command += ["--xds-listen", self.xds, "--http-listen", self.http, "--quiet-time", "1ms", "--log-level", "warn"]
        self.process = start(command, self.log)
        wait_ready(self.process, f"http://{self.http}/readyz", self.log)

    @property
    def trigger(self) -> str:
        return f"file:{self.folder}/{documents.slice_file('{svc}')}"

    @property
    def template(self) -> Path | None:
        return self.place / "slice.yaml"

    def asked(self, question: str) -> dict[str, object]:
        self.stop()
        if question == "replica":
            self.xds, self.http, self.state = free_address(), free_address(), self.place / "state-of-replica"
        self.start()
        return self._where()


class GoControlPlane(Changed):
    """The independent judge's server on go-control-plane's linear cache."""

    def __init__(self, place: Path, services: int, tools: Path) -> None:
        super().__init__(place, services)
        self.tools = tools

    def command(self) -> list[str | Path]:
        flags = ["-impl", "linear", "-services", str(self.services), "-endpoints", str(documents.ENDPOINTS)]
        return [self.tools / "gcpserver", *flags, "-addr", self.xds, "-admin", self.admin]


class RawPush(Changed):
    """The independent judge's floor: `frames` are shared, `codec` goes through tonic's encoder."""

    def __init__(self, place: Path, services: int, tools: Path, how: str) -> None:
        super().__init__(place, services)
        self.tools = tools
        self.how = how
        self.data = place / "data"

    def start(self) -> None:
        if not self.data.exists():
            self.data.mkdir()
            dump: list[str | Path] = [self.tools / "gcpserver", "-impl", "raw", "-dump", self.data]
            dump += ["-services", str(self.services), "-endpoints", str(documents.ENDPOINTS)]
            subprocess.run(dump, check=True, capture_output=True)
        super().start()

    def command(self) -> list[str | Path]:
        return [self.tools / "rawpush", self.data, self.xds, self.admin, str(os.cpu_count()), self.how]
