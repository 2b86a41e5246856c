"""A pod: a machine with an application, and an Envoy before it that sees all that comes and goes."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from case import Failed, eventually
from net import PUBLIC, Host, run

APP_USER, ENVOY_USER = 1000, 1337
ADMIN = 15000
# How long connections live on that the present listeners would not take any more.
DRAIN = 5
Answer = dict[str, Any]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("pod", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


class Machine(Host):
    """One that Envoys may run on."""

    admin_port = ADMIN

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name, number)
        self.folder = PUBLIC / name
        self.folder.mkdir()
        os.chown(self.folder, ENVOY_USER, ENVOY_USER)
        self.folder.chmod(0o777)
        self.envoys = 0

    def start_envoy(self, bootstrap: Answer, level: str = "warning") -> None:
        file = self.folder / "envoy.json"
        file.write_text(json.dumps(bootstrap))
        os.chown(file, ENVOY_USER, ENVOY_USER)
        file.chmod(0o600)
        self.envoys += 1
        self.envoy = self.start(
            "envoy", ENVOY_USER, PUBLIC / "envoy", "-c", file, "--concurrency", 1, "--use-dynamic-base-id", "--drain-time-s", DRAIN, "-l", level, "--log-format", "%L %v"
        )

    def stop_envoy(self) -> None:
        self.envoy.terminate()
        self.envoy.wait()
        self.children.remove(self.envoy)

    def admin(self, path: str) -> str:
        return self.run("curl", "-sS", "-m", 10, f"http://127.0.0.1:{self.admin_port}/{path}")

    def stats(self, pattern: str) -> dict[str, int]:
        said = json.loads(self.admin(f"stats?format=json&filter={pattern}"))["stats"]
        return {one["name"]: one["value"] for one in said if "name" in one}

    def stat(self, name: str) -> int:
        """Nothing counted is 0: Envoy makes some counters with the first thing that they count."""
        return self.stats(f"^{name.replace('.', '%5C.')}$").get(name, 0)

    def stat_sum(self, part: str) -> int:
        return sum(self.stats(part).values())

    def dump(self, kind: str) -> list[Answer]:
        """What it holds of one sort of resource: `dynamic_route_configs`, `dynamic_active_clusters` …"""
        return json.loads(self.admin(f"config_dump?resource={kind}")).get("configs", [])

    def has_endpoint(self, address: str) -> bool:
        """Of a service: where calls went that the mesh knows nothing of stays with a connection that is kept."""
        return any(f"::{address}:" in line for line in self.admin("clusters").splitlines() if line.startswith(("service/", "meshservice/")))

    def wait_live(self, limit: float = 30) -> None:
        def look() -> bool:
            if self.envoy.poll() is not None:
                raise Failed(f"the Envoy of {self.name} has ended: see its log")
            return "LIVE" in self.admin("ready")

        eventually(f"the Envoy of {self.name} is live", limit, look)


class Load:
    """How it went is known once it has ended."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.said: Answer = {}

    def failed(self, begin: float = 0, end: float = float("inf")) -> list[str]:
        return [text for at, text in self.said["failures"] if begin <= at < end]

    def figures(self) -> str:
        said = self.said
        skipped = f", {said['skipped']} not asked because the machine was too slow" if said["skipped"] else ""
        return f"{self.text}: {said['asked']} requests, {said['failed']} failed{skipped}; p50 {said['p50']:.1f} ms, p99 {said['p99']:.0f} ms"


class Pod(Machine):
    def __init__(self, name: str, number: int, app: str, namespace: str, *, labels: dict[str, str] | None = None, forget: bool = False, mesh: bool = True, registry: str = "") -> None:
        super().__init__(name, number)
        self.app, self.namespace, self.account, self.mesh = app, namespace, app, mesh
        # Where it is known, if not as a pod.
        self.registry = registry
        self.labels = {**({} if registry else {"app": app}), **(labels or {})}
        self.socket = PUBLIC / f"{name}.socket"
        self.forget = forget
        # Nobody but the application's user reads what is its own.
        arguments = ["--forget"] if forget else []
        (PUBLIC / "doors").mkdir(exist_ok=True)
        (PUBLIC / "doors").chmod(0o777)
        self.socket = PUBLIC / "doors" / name
        self.start("app", APP_USER, sys.executable, PUBLIC / "app.py", app, name, self.socket, *arguments)
        eventually(f"the application of {name} runs", 20, self.socket.exists)

    def call(self, *hops: Answer | str) -> Answer:
        """The application calls; each hop after the first is for whoever answers the one before."""
        steps = [{"url": hop} if isinstance(hop, str) else hop for hop in hops]
        connection = UnixConnection(self.socket)
        try:
            connection.request("POST", "/", body=json.dumps(steps))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def kept(self) -> Callable[[str], Answer]:
        """A client that keeps its connection to the proxy, where it can; each answer says how many it has opened so far."""
        name = os.urandom(4).hex()
        return lambda url: self.call({"url": url, "kept": name})

    def tcp(self, target: str) -> Answer:
        return self.call({"tcp": target})

    @contextmanager
    def load(self, rate: float, url: str, **headers: str) -> Iterator[Load]:
        """Requests of the application's user beside the rest."""
        words = [f"{key.replace('_', '-')}={value}" for key, value in headers.items()]
        child = self.start("load", APP_USER, sys.executable, PUBLIC / "load.py", rate, url, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        load = Load(f"{self.name} → {url}, {rate:g}/s")
        try:
            yield load
        finally:
            try:
                said, _ = child.communicate(b"", timeout=60)
                load.said = json.loads(said)
            finally:
                child.kill()
                self.children.remove(child)

    def identity_words(self) -> list[str]:
        """Who it is, in the words of `isthmus token join`."""
        return ["--registry", self.registry, "--service", self.app] if self.registry else ["--account", f"{self.namespace}/{self.account}"]

    def document(self) -> Answer:
        labels = {**self.labels, **({"isthmus.dev/sidecar": "injected"} if self.mesh else {})}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {"serviceAccountName": self.account, "nodeName": "node-a"},
            "status": {"phase": "Running", "podIP": self.v4, "podIPs": [{"ip": self.v4}, {"ip": self.v6}]},
        }


def publish() -> None:
    """What other users than root may read and run."""
    PUBLIC.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", PUBLIC)
    for name, source in (("envoy", os.environ["ISTHMUS_JUDGE_ENVOY"]), ("isthmus", os.environ["ISTHMUS_JUDGE_BIN"])):
        (PUBLIC / name).touch()
        run("mount", "--bind", source, PUBLIC / name)
    shutil.copy(Path(__file__).with_name("app.py"), PUBLIC / "app.py")
    shutil.copy(Path(__file__).with_name("load.py"), PUBLIC / "load.py")
    (PUBLIC / "app.py").chmod(0o644)
    (PUBLIC / "load.py").chmod(0o644)
