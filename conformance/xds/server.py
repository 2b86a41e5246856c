"""The real program under judgement: started with a folder and a state folder of its own, edited, stopped."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from verdict import Failure
from world import World

T = TypeVar("T")

# Settings that differ from the product's own only to save time.
QUICK: dict[str, str] = {"quiet-time": "20ms", "drain-window": "500ms", "grace": "5s", "log-level": "info"}
START_LIMIT = 60.0
# No proxy of this machine's environment stands between the judge and the program.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_given_ports: set[int] = set()
_ports_lock = threading.Lock()


def free_port() -> int:
    """A port of this machine that nobody has, and that this run gives out only once."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with _ports_lock:
            if port not in _given_ports:
                _given_ports.add(port)
                return port


def until(what: str, probe: Callable[[], T | None], within: float = 10.0, pause: float = 0.01) -> T:
    """Asks until the answer is something; the pause is between two looks at an event, never instead of one."""
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {within:g} s")
        time.sleep(pause)


def http_get(url: str) -> str | None:
    """The body of a good answer; nothing otherwise."""
    try:
        with _http.open(url, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None


class Folder:
    """The documents. Files appear and change in one step: written beside and renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> None:
        beside = self.path / f".{name}.new"
        beside.write_text(text)
        beside.rename(self.path / name)


class Server:
    def __init__(self, binary: Path, settings: dict[str, str] | None = None, folder: Folder | None = None) -> None:
        self.binary = binary
        self.settings = QUICK | (settings or {})
        self.place = Path(tempfile.mkdtemp(prefix="isthmus-judge-"))
        self.folder = folder or Folder(self.place / "documents")
        self.xds = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: bool = True) -> None:
        flags = [f"--{name}={value}" for name, value in self.settings.items()]
        command = [str(self.binary), "serve", "-f", str(self.folder.path), "--xds-listen", self.xds]
        command += ["--http-listen", self.http, "--state-dir", str(self.place / "state")]
        # The protocol alone: certificates of the mesh are other ones after each start.
        command += ["--mesh=false"]
        command += ["--replica", f"replica-{self.xds.rsplit(':', 1)[-1]}", *flags]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ISTHMUS_")}
        log = (self.place / "log").open("ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.place
        )
        log.close()
        until("the server answers", lambda: self._alive() and self.get("/healthz") is not None, START_LIMIT)
        if ready:
            until("the server is ready", self.ready, START_LIMIT)

    def _alive(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise Failure(f"the server ended with {self.process.returncode}: {self.log_tail()}")
        return True

    def ready(self) -> bool:
        return self.get("/readyz") is not None

    def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def wait(self, within: float) -> float:
        """Waits for the end of the process and tells how long that took."""
        process, self.process = self.process, None
        if process is None:
            return 0.0
        began = time.monotonic()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"the server did not end within {within:g} s") from None
        return time.monotonic() - began

    def stop(self, number: int) -> None:
        self.signal(number)
        self.wait(within=10)

    def remove(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.place, ignore_errors=True)

    def log_tail(self, lines: int = 5) -> str:
        text = (self.place / "log").read_text(errors="replace")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        return " / ".join(plain.splitlines()[-lines:])

    # Documents

    def commit(self, world: World, wait: bool = True) -> None:
        """Writes the world and waits until the change is published. `wait=False` where nothing should follow."""
        before = self.published()
        self.folder.write("world.yaml", world.text())
        if wait:
            until("the change is published", lambda: self.published() > before)

    def published(self) -> int:
        """How many times anything was published so far."""
        return int(self.metric("isthmus_publish_seconds_count"))

    # What the program tells about itself

    def get(self, path: str) -> str | None:
        return http_get(f"http://{self.http}{path}")

    def status(self, path: str) -> int:
        """The HTTP status; 0 where nobody answers."""
        try:
            with _http.open(f"http://{self.http}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, http.client.HTTPException):
            return 0

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all series that have these labels; 0 where there is none."""
        total = 0.0
        for line in (self.get("/metrics") or "").splitlines():
            match = re.match(r"([a-zA-Z_:]+)(?:\{(.*)\})? (\S+)$", line)
            if match and match[1] == name and all(f'{k}="{v}"' in (match[2] or "") for k, v in labels.items()):
                total += float(match[3])
        return total

    def proxies(self) -> list[dict[str, Any]]:
        text = self.get("/api/v1/proxies?format=json")
        return json.loads(text)["items"] if text else []

    def streams(self) -> int:
        return int(self.metric("isthmus_xds_streams"))

    # The process as the kernel sees it

    def memory(self) -> int:
        """Resident bytes."""
        return self._proc("status", r"VmRSS:\s+(\d+) kB") * 1024

    def threads(self) -> int:
        return self._proc("status", r"Threads:\s+(\d+)")

    def sockets(self) -> int:
        assert self.process is not None
        files = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(1 for file in files if _link(file).startswith("socket:"))

    def cpu_seconds(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _proc(self, file: str, pattern: str) -> int:
        assert self.process is not None
        match = re.search(pattern, Path(f"/proc/{self.process.pid}/{file}").read_text())
        return int(match[1]) if match else 0


def _link(file: Path) -> str:
    try:
        return os.readlink(file)
    except OSError:
        return ""
