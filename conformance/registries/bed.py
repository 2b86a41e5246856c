"""What all real servers of the bed have in common: started, killed, frozen, restarted with or without their data.

All runs inside a network namespace of its own (run.sh makes it), so ports are fixed, every 10.99.x.y is this machine,
and a server that listens on all interfaces reaches nobody.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
HOST = "10.99.0.1"
T = TypeVar("T")


class Failure(Exception):
    """What was to be shown did not show."""


class NotRun(Exception):
    """The check could not be played at all, which is not the same as passed."""


@dataclass(frozen=True)
class Instance:
    """One instance of one service, as an application would register it."""

    service: str
    ip: str
    port: int = 8080
    weight: float = 1.0
    metadata: dict[str, str] = field(default_factory=dict, hash=False)
    # What only one kind of registry has (`enabled`, `clusterName`, `securePort`...), in that registry's own words.
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        return f"{self.ip}:{self.port}"


def until(what: str, probe: Callable[[], T | None], within: float = 10.0, pause: float = 0.02) -> T:
    """Asks until the answer is something; the pause is between two looks, never instead of one."""
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {within:g} s")
        time.sleep(pause)


def fetched(name: str) -> Path:
    """The folder of a server in the cache; made on first use by fetch.sh, before the namespace closes the network."""
    place = os.environ.get(f"BED_{name.upper()}")
    if not place:
        raise NotRun(f"{name} was not fetched")
    return Path(place)


class Http:
    """One address, a connection per thread, kept open: a thousand registrations cost no thousand handshakes."""

    def __init__(self, host: str, port: int, headers: dict[str, str] | None = None, timeout: float = 8.0) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self.headers = headers or {}
        self._own = threading.local()

    def call(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> tuple[int, bytes]:
        """Status and body; status 0 where nobody answers."""
        target = f"{path}?{urlencode(query)}" if query else path
        headers = dict(self.headers)
        data: bytes | None = None
        if isinstance(body, (dict, list)):
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif isinstance(body, str):
            data, headers["Content-Type"] = body.encode(), "application/x-www-form-urlencoded"
        for fresh in (False, True):
            connection = None if fresh else getattr(self._own, "connection", None)
            kept = connection is not None
            if connection is None:
                connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            try:
                connection.request(method, target, data, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self._own.connection = None
                if kept:
                    continue
                return 0, b""
            self._own.connection = connection
            return answer.status, content
        return 0, b""

    def json(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        status, content = self.call(method, path, query, body)
        if not 200 <= status < 300:
            raise Failure(f"{method} {path} answered {status}: {content[:200]!r}")
        return json.loads(content) if content else None


class Server:
    """A process with a folder of its own. Subclasses say what to start and when it is ready."""

    kind = ""
    port = 0
    # Nacos took 190 s on a busy machine.
    ready_within = 300.0

    def __init__(self, work: Path) -> None:
        self.place = work / f"{self.kind}-{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.started_in = 0.0
        self.environment: dict[str, str] = {}

    # For the subclass

    def prepare(self) -> None:
        """Writes the configuration; called before every start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def address(self) -> str:
        return f"{HOST}:{self.port}"

    # For the tests

    def start(self, wait: bool = True) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        scratch = self.place / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        self.prepare()
        began = time.monotonic()
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.place,
                env=os.environ | self.environment,
            )
        if wait:
            self.wait_ready()
            self.started_in = time.monotonic() - began

    def wait_ready(self) -> None:
        def look() -> bool:
            if self.process is None or self.process.poll() is not None:
                raise Failure(f"{self.kind} ended: {self.log_tail()}")
            return self.ready()

        until(f"{self.kind} is ready", look, self.ready_within, pause=0.1)

    def kill(self) -> None:
        """kill -9: no goodbye to anyone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def end(self) -> None:
        """The scenario is over: its data goes (a Nacos leaves half a gigabyte), its log stays."""
        self.kill()
        for folder in ("data", "tmp"):
            shutil.rmtree(self.place / folder, ignore_errors=True)

    def restart(self, keep_data: bool) -> None:
        """After `kill`."""
        self.kill()
        if not keep_data:
            self.wipe()
        self.start()

    def wipe(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def memory(self) -> int:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def log_tail(self, lines: int = 4) -> str:
        file = self.place / "log"
        return " / ".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else "no log"

    def java(self, memory: str, class_path: str, main: str, *options: str) -> list[str]:
        """The flags halve the start and keep a server at a few hundred megabytes."""
        flags = ["-Xms64m", f"-Xmx{memory}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        flags += [f"-Djava.io.tmpdir={self.place}/tmp", *options]
        return ["java", *flags, "-cp", class_path, main]


class Relay:
    """A TCP address of its own in front of a server, that a test can cut (reset, then refused) or hold (silent)."""

    def __init__(self, loop: Loop, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self.listen, self.target = listen, target
        self.accepted = 0
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self.mend()

    def cut(self) -> None:
        self._loop.run(self._cut())

    def mend(self) -> None:
        self._loop.run(self._mend())

    def hold(self) -> None:
        """Connections stay, nothing passes, as when a cable is pulled."""
        self._loop.run(self._set(False))

    async def _set(self, is_open: bool) -> None:
        (self._open.set if is_open else self._open.clear)()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _mend(self) -> None:
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, *self.listen, reuse_address=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.transport.abort()


class Loop:
    """An asyncio loop in a thread of its own, for what must go on while a test waits."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Any, within: float = 30.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def go(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop)


class Registrar:
    """Instances of one registry, kept alive by a heartbeat and registered again when the registry has lost them."""

    # Seconds between two heartbeats; 0 where the connection itself is the heartbeat.
    beat_every = 5.0

    def __init__(self) -> None:
        self._alive: dict[tuple[str, str], Instance] = {}
        self._lock = threading.Lock()
        # Held during one heartbeat.
        self._beating = threading.Lock()
        self._closed = threading.Event()
        if self.beat_every:
            threading.Thread(target=self._beats, daemon=True).start()

    # For the subclass

    def put(self, instance: Instance) -> None:
        raise NotImplementedError

    def remove(self, instance: Instance) -> None:
        raise NotImplementedError

    def beat(self, instance: Instance) -> None:
        """One heartbeat; registers again where the registry says that it does not know the instance."""
        raise NotImplementedError

    # For the tests

    def register(self, *instances: Instance) -> None:
        self._all(self.put, instances)
        with self._lock:
            self._alive |= {(one.service, one.key): one for one in instances}

    def deregister(self, *instances: Instance) -> None:
        self.abandon(*instances)
        with self._beating:
            pass  # A heartbeat on its way would hear that nobody knows the instance, and register it again.
        self._all(self.remove, instances)

    def abandon(self, *instances: Instance) -> None:
        """The application died: nothing is said, the heartbeats end."""
        with self._lock:
            for one in instances:
                self._alive.pop((one.service, one.key), None)

    def close(self) -> None:
        self._closed.set()

    def _all(self, what: Callable[[Instance], None], instances: tuple[Instance, ...]) -> None:
        if len(instances) < 8:
            for one in instances:
                what(one)
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(what, instances))

    def _is_alive(self, one: Instance) -> bool:
        with self._lock:
            return (one.service, one.key) in self._alive

    def _beats(self) -> None:
        while not self._closed.wait(self.beat_every):
            with self._lock:
                alive = list(self._alive.values())
            for one in alive:
                if self._closed.is_set():
                    return
                try:
                    with self._beating:
                        if self._is_alive(one):
                            self.beat(one)
                except (Failure, OSError):
                    pass  # The registry is away; the next beat tries again.
