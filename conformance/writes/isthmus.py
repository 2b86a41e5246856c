"""The program that is judged, people who use it, and the API server as an administrator sees it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORK = Path(os.environ["BED_WORK"])
PROGRAM = os.environ["ISTHMUS"]
ROUTES = "/api/v1/namespaces/{}/httproutes/{}"
LIMIT = 60


class Failed(Exception):
    """Without this the rest is of no use."""


def eventually(what: str, ask: Callable[[], Any]) -> Any:
    """Asks until the answer is true."""
    end = time.monotonic() + LIMIT
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {LIMIT} s")
        time.sleep(0.1)


def kubectl(*words: str, send: Any = None, good: bool = True) -> str:
    text = send if send is None or isinstance(send, str) else json.dumps(send)
    done = subprocess.run(["kubectl", *words], input=text, capture_output=True, text=True, check=False)
    if good and done.returncode != 0:
        raise Failed(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout if done.returncode == 0 else ""


def live(name: str, namespace: str = "shop", kind: str = "httproute") -> dict[str, Any] | None:
    """The object as the API server has it; None if it is not there."""
    text = kubectl("-n", namespace, "get", kind, name, "-o", "json", "--show-managed-fields", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def version(name: str) -> str | None:
    found = live(name)
    return found and found["metadata"]["resourceVersion"]


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {json.dumps(self.body)[:600]}"

    @property
    def detail(self) -> str:
        return f"{self.body.get('detail', '')} {self.body.get('hint', '')}"

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")


class Isthmus:
    """One replica, at an HTTP port of its own."""

    def __init__(self, name: str, port: int, xds: int, *flags: str, credentials: str | None = None) -> None:
        self.port, self.xds, self.name = port, xds, name
        self.log = WORK / f"logs/isthmus-{name}.log"
        command = [PROGRAM, "serve", "--kubernetes", "--kubeconfig", credentials or os.environ["ISTHMUS_KUBECONFIG"]]
        command += ["--replica", name, "--state-dir", str(WORK / f"state-{name}"), "--xds-listen", f"127.0.0.1:{xds}"]
        command += ["--http-listen", f"127.0.0.1:{port}", "--api-rate-limit", "0", *flags]
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        eventually(f"{name} is ready", self.is_ready)

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended: {self.log.read_text()[-2000:]}")
        try:
            return self.send("GET", "/readyz").status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(LIMIT)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        form = "application/yaml" if isinstance(body, str) else "application/json"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, text, {"content-type": form, **sent})
            response = connection.getresponse()
            content = response.read()
            try:
                answer = json.loads(content or b"null")
            except ValueError:
                answer = content.decode(errors="replace")
            return Answer(response.status, answer, {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()


@dataclass
class Person:
    """A ServiceAccount of the namespace shop, or a token of another sort."""

    isthmus: Isthmus
    name: str
    token: str
    subject: str = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return self.isthmus.send(method, path, body, authorization=f"Bearer {self.token}", **headers)

    def begin(self, method: str, path: str, body: Any) -> http.client.HTTPConnection:
        """Asks, and leaves the answer to whoever wants it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.isthmus.port, timeout=LIMIT)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        connection.request(method, path, json.dumps(body), headers)
        return connection

    def read(self, name: str, namespace: str = "shop") -> Answer:
        return self.ask("GET", ROUTES.format(namespace, name))

    def create(self, document: dict[str, Any], query: str = "") -> Answer:
        meta = document["metadata"]
        where = ROUTES.format(meta["namespace"], meta["name"]) + query
        return self.ask("PUT", where, document, if_none_match="*")

    def change(self, document: dict[str, Any], etag: str, query: str = "") -> Answer:
        meta = document["metadata"]
        return self.ask("PUT", ROUTES.format(meta["namespace"], meta["name"]) + query, document, if_match=etag)

    def delete(self, name: str, etag: str, query: str = "") -> Answer:
        return self.ask("DELETE", ROUTES.format("shop", name) + query, if_match=etag)

    def apply(self, *documents: dict[str, Any], query: str = "") -> Answer:
        return self.ask("POST", "/api/v1/apply" + query, {"apiVersion": "v1", "kind": "List", "items": documents})

    def cli(self, *words: str) -> tuple[int, str]:
        environment = {**os.environ, "ISTHMUS_TOKEN": self.token, "ISTHMUS_SERVER": f"http://127.0.0.1:{self.isthmus.port}"}
        environment["HOME"] = environment["XDG_CONFIG_HOME"] = str(WORK / "home")
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False, env=environment, timeout=LIMIT)
        return done.returncode, done.stdout + done.stderr


def account(isthmus: Isthmus, name: str) -> Person:
    token = kubectl("-n", "shop", "create", "token", name).strip()
    return Person(isthmus, name, token, f"user:system:serviceaccount:shop:{name}")


def route(name: str, path: str, namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    """As a person writes it: what the API server fills in is not there."""
    back = {"group": "isthmus.dev", "kind": "MeshService", "name": "orders", "port": 80}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [back]}],
        },
    }


def path_of(name: str) -> str | None:
    found = live(name)
    return found and found["spec"]["rules"][0]["matches"][0]["path"]["value"]
