"""A world of a test: the program, its documents, Envoy, back ends, requests, and each source's state over time."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from backends import Backends
from bed import Failure, Http, Instance, until
from driver import Driver, Probe

NAMESPACE = "shop"
XDS, HTTP, ADMIN, WEB = 18000, 18001, 18002, 18080
API = "gateway.networking.k8s.io/v1"
OWN = "isthmus.dev/v1alpha1"
SETTINGS = {"quiet-time": "20ms", "log-level": "info"}
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def registry(name: str, kind: str, *addresses: str, **spec: Any) -> dict[str, Any]:
    return _document(OWN, "Registry", name, {"type": kind, "addresses": list(addresses)} | spec)


def from_registry(name: str, service: str, group: str = "") -> dict[str, Any]:
    return {"registry": {"name": name, "service": service} | ({"group": group} if group else {})}


def service(name: str, *sources: dict[str, Any], **spec: Any) -> list[dict[str, Any]]:
    """A MeshService and the route to it, for the host `NAME.example.com`."""
    ports = [{"port": 80, "protocol": spec.pop("protocol", "HTTP")}]
    return [_document(OWN, "MeshService", name, {"ports": ports, "sources": list(sources)} | spec), route(name)]


def route(name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    backend = {"group": "isthmus.dev", "kind": "MeshService", "name": name, "port": 80}
    parents = [{"name": "edge", "namespace": NAMESPACE}]
    spec = {"parentRefs": parents, "hostnames": [host(name)], "rules": [{"backendRefs": [backend]}]}
    return _document(API, "HTTPRoute", name, spec, namespace)


def host(name: str) -> str:
    return f"{name}.example.com"


def _document(version: str, kind: str, name: str, spec: dict[str, Any], namespace: str = NAMESPACE) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


class World:
    def __init__(self, work: Path, binary: Path, envoy: Path) -> None:
        self.place = work
        self.binary, self.envoy_binary = binary, envoy
        self.documents = work / "documents"
        self.documents.mkdir(parents=True, exist_ok=True)
        self.backends = Backends()
        self.program: subprocess.Popen[bytes] | None = None
        self.envoy: subprocess.Popen[bytes] | None = None
        self._drivers: list[Driver] = []
        # (time, registry, state, reason): each change that the API showed.
        self.states: list[tuple[float, str, str, str]] = []
        self._watching = threading.Event()
        self._api = Http("127.0.0.1", HTTP)

    # Documents

    def write(self, name: str, *documents: dict[str, Any]) -> None:
        """One file, appearing in one step."""
        beside = self.documents / f".{name}.new"
        beside.write_text("".join(f"---\n{json.dumps(one)}\n" for one in documents))
        beside.rename(self.documents / f"{name}.yaml")

    def secret(self, name: str, text: str) -> str:
        """A secret file; returns its path."""
        file = self.place / "secrets" / name
        file.parent.mkdir(exist_ok=True)
        beside = file.with_name(f".{name}.new")
        beside.write_text(text)
        beside.chmod(0o600)
        beside.rename(file)
        return str(file)

    # Processes

    def start(self, envoy: bool = True, **settings: str) -> None:
        listeners = [{"name": "web", "protocol": "HTTP", "port": WEB, "allowedRoutes": {"namespaces": {"from": "All"}}}]
        spec = {"gatewayClassName": "isthmus", "listeners": listeners}
        spec["addresses"] = [{"type": "IPAddress", "value": "127.0.0.1"}]
        cls = {"apiVersion": API, "kind": "GatewayClass", "metadata": {"name": "isthmus"}}
        cls["spec"] = {"controllerName": "isthmus.dev/gateway-controller"}
        self.write("gateway", cls, _document(API, "Gateway", "edge", spec))
        self.start_program(**settings)
        if envoy:
            self.start_envoy()

    def start_program(self, **settings: str) -> None:
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in (SETTINGS | settings).items()]
        command = [str(self.binary), "serve", "-f", str(self.documents), "--xds-listen", f"127.0.0.1:{XDS}"]
        command += ["--http-listen", f"127.0.0.1:{HTTP}", "--state-dir", str(self.place / "state"), *flags]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ISTHMUS_")}
        self.program = self._spawn("isthmus", command, environment)
        until("the program is ready", lambda: self._alive() and self.get("/readyz") is not None, 60)
        if not self._watching.is_set():
            self._watching.set()
            threading.Thread(target=self._watch, daemon=True).start()

    def start_envoy(self) -> None:
        (self.place / "envoy.json").write_text(json.dumps(_bootstrap()))
        command = [str(self.envoy_binary), "-c", str(self.place / "envoy.json"), "--disable-hot-restart"]
        self.envoy = self._spawn("envoy", [*command, "--concurrency", "1", "-l", "warning"], dict(os.environ))
        until("Envoy is ready", lambda: self.admin("/ready") is not None, 60)

    def stop_program(self, number: int = signal.SIGKILL) -> None:
        if self.program is not None:
            self.program.send_signal(number)
            self.program.wait(20)
            self.program = None

    def close(self) -> None:
        self._watching.clear()
        for driver in self._drivers:
            driver.stop()
        for process in (self.program, self.envoy):
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.backends.close()
        shutil.rmtree(self.place / "state", ignore_errors=True)

    def _spawn(self, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.place / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def _alive(self) -> bool:
        if self.program is not None and self.program.poll() is not None:
            raise Failure(f"the program ended with {self.program.returncode}: {self.log_tail()}")
        return True

    def log_tail(self, lines: int = 5) -> str:
        return " / ".join((self.place / "isthmus.log").read_text(errors="replace").splitlines()[-lines:])

    # Requests

    def drive(self, name: str, rate: float) -> Driver:
        driver = Driver(WEB, host(name), rate)
        self._drivers.append(driver)
        return driver

    def probe(self, name: str) -> Probe:
        return Probe(WEB, host(name))

    def until_served(self, name: str, *by: Instance, within: float = 30.0) -> None:
        """Each of these answers, and (as far as seen) nobody else does."""
        probe, seen = self.probe(name), set()
        wanted = {one.key for one in by}

        def look() -> bool:
            answer = probe.get()
            if answer.good:
                seen.add(answer.by)
            return wanted <= seen

        until(f"{name} is served by {len(wanted)} back ends", look, within)

    # What the program says

    def get(self, path: str) -> str | None:
        return _get(f"http://127.0.0.1:{HTTP}{path}")

    def registry(self, name: str) -> dict[str, Any]:
        """Its status: state, reason, services, instances, held..."""
        text = self.get(f"/api/v1/registries/{NAMESPACE}/{name}?format=json")
        return (json.loads(text).get("status") or {}) if text else {}

    def state(self, name: str) -> str:
        return str(self.registry(name).get("state", ""))

    def until_state(self, name: str, *states: str, within: float = 60.0) -> float:
        """Seconds until the source is in one of these states."""
        began = time.monotonic()
        until(f"{name} is {' or '.join(states)} (is {self.registry(name)})", lambda: self.state(name) in states, within)
        return time.monotonic() - began

    def events(self, name: str) -> list[dict[str, Any]]:
        text = self.get(f"/api/v1/registries/{NAMESPACE}/{name}/events?format=json")
        return items(json.loads(text)) if text else []

    def services(self, name: str) -> list[dict[str, Any]]:
        text = self.get(f"/api/v1/registries/{NAMESPACE}/{name}/services?format=json")
        return items(json.loads(text)) if text else []

    def steer(self, name: str, what: str, of: str = "") -> Any:
        """`hold`, `release`, `flush`, `resync` or `test`; `of` is `GROUP@@NAME` or `NAME`."""
        query = {"service": of} if of else None
        return self._api.json("POST", f"/api/v1/registries/{NAMESPACE}/{name}/{what}", query)

    def metric(self, name: str, **labels: str) -> float:
        total = 0.0
        for line in (self.get("/metrics") or "").splitlines():
            if line.startswith(name) and line[len(name) :][:1] in ("{", " "):
                if all(f'{key}="{value}"' in line for key, value in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def memory(self) -> int:
        """Resident bytes of the program."""
        assert self.program is not None
        for line in Path(f"/proc/{self.program.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_seconds(self) -> float:
        assert self.program is not None
        fields = Path(f"/proc/{self.program.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def timeline(self, began: float) -> str:
        """Each source's state over time beside the traffic, in one line; 0.0 is the first request, if there was any:
        `0.0 live, 3.2 stale (why), 20.1 live; requests 5,012, failed 0`."""
        answers = [one for driver in self._drivers for one in list(driver.answers)]
        zero = min((one.sent for one in answers), default=began)
        parts = [f"{name}: {_course(course, zero)}" for name, course in self._courses().items()]
        if len(parts) == 1:
            parts = [parts[0].partition(": ")[2]]
        if answers:
            failed = sum(not one.good for one in answers)
            parts.append(f"requests {len(answers):,}, failed {failed:,}")
        return "; ".join(parts)

    def _courses(self) -> dict[str, list[tuple[float, str, str]]]:
        out: dict[str, list[tuple[float, str, str]]] = {}
        for at, name, state, reason in self.states:
            out.setdefault(name, []).append((at, state, reason))
        return out

    def _watch(self) -> None:
        """Looks ten times a second; what changes is kept with its time."""
        last: dict[str, str] = {}
        while self._watching.is_set():
            for name in self._registries():
                said = self.registry(name)
                state = str(said.get("state", "no answer"))
                if last.get(name) != state:
                    last[name] = state
                    self.states.append((time.monotonic(), name, state, str(said.get("reason", ""))))
            time.sleep(0.1)

    def _registries(self) -> list[str]:
        """Those of the documents, so that an API that is away is seen as such."""
        out = []
        for file in self.documents.glob("*.yaml"):
            for line in file.read_text().splitlines():
                document = json.loads(line) if line.startswith("{") else {}
                if document.get("kind") == "Registry":
                    out.append(document["metadata"]["name"])
        return out

    # What Envoy says

    def admin(self, path: str) -> str | None:
        return _get(f"http://127.0.0.1:{ADMIN}{path}")

    def stat(self, pattern: str) -> dict[str, int]:
        out: dict[str, int] = {}
        for line in (self.admin(f"/stats?filter={pattern}") or "").splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdigit():
                out[name] = int(value)
        return out

    def rejected(self) -> int:
        """What Envoy refused, ever: it must be nothing, whatever a registry holds."""
        return sum(self.stat("update_rejected").values())

    def hosts(self, cluster: str) -> dict[str, dict[str, Any]]:
        """Envoy's own list of a cluster's hosts, by address."""
        text = self.admin("/clusters?format=json")
        for item in json.loads(text or "{}").get("cluster_statuses", []):
            if cluster in item["name"]:
                return {_address(one): one for one in item.get("host_statuses", [])}
        return {}


def _course(course: list[tuple[float, str, str]], zero: float) -> str:
    """From the state that it was in at the first request."""
    begin = max((at for at, _, _ in course if at <= zero), default=0.0)
    return ", ".join(
        f"{max(0.0, at - zero):.1f} {state}{f' ({reason[:80]})' if reason and state != 'live' else ''}"
        for at, state, reason in course
        if at >= begin
    )


def items(answer: Any) -> list[dict[str, Any]]:
    return answer.get("items", []) if isinstance(answer, dict) else answer


def _address(status: dict[str, Any]) -> str:
    socket_address = status["address"]["socket_address"]
    return f"{socket_address['address']}:{socket_address['port_value']}"


def _get(url: str) -> str | None:
    try:
        with _http.open(url, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.HTTPError, http.client.HTTPException):
        return None


def _bootstrap() -> dict[str, Any]:
    keepalive = {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": keepalive},
    }
    cluster = {
        "name": "isthmus",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "isthmus",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(XDS)}}]}],
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
    ads = {"ads": {}, "resource_api_version": "V3"}
    source = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "isthmus"}}],
    }
    return {
        "node": {
            "id": "edge-1",
            "cluster": f"edge.{NAMESPACE}",
            "metadata": {"isthmus": {"role": "gateway", "gateway": f"{NAMESPACE}/edge"}},
        },
        "admin": {"address": _socket(ADMIN)},
        "dynamic_resources": {"ads_config": source, "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [cluster]},
    }


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
