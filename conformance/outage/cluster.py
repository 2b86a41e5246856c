"""The API server, as an administrator sees it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

WORK = Path(os.environ["BED_WORK"])
ADDRESS = "10.244.0.1"
# A machine that does much else at the same time is slow, not wrong.
TIMEOUT = 30

Object = dict[str, Any]
T = TypeVar("T")


class Failed(Exception):
    """Something that should be so is not."""


def eventually(what: str, limit: float, ask: Callable[[], T], pause: float = 0.1) -> tuple[T, float]:
    """Asks until the answer is true; the answer, and how many seconds that took."""
    began = time.monotonic()
    while True:
        said: object
        try:
            answer = ask()
            if answer:
                return answer, time.monotonic() - began
            said = answer
        except (OSError, http.client.HTTPException, Away, KeyError, IndexError) as error:
            said = repr(error)
        if time.monotonic() - began >= limit:
            raise Failed(f"{what}: not within {limit:g} s (last: {said})")
        time.sleep(pause)


class Away(Exception):
    """The server did not do what it was asked."""


# kind: (group and version, plural, whether in a namespace)
KINDS = {
    "Namespace": ("v1", "namespaces", False),
    "Node": ("v1", "nodes", False),
    "Pod": ("v1", "pods", True),
    "Service": ("v1", "services", True),
    "Secret": ("v1", "secrets", True),
    "ConfigMap": ("v1", "configmaps", True),
    "Deployment": ("apps/v1", "deployments", True),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices", True),
    "Lease": ("coordination.k8s.io/v1", "leases", True),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles", False),
    "GatewayClass": ("gateway.networking.k8s.io/v1", "gatewayclasses", False),
    "Gateway": ("gateway.networking.k8s.io/v1", "gateways", True),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes", True),
    "ReferenceGrant": ("gateway.networking.k8s.io/v1", "referencegrants", True),
    "BackendTLSPolicy": ("gateway.networking.k8s.io/v1", "backendtlspolicies", True),
    "GatewayConfig": ("isthmus.dev/v1alpha1", "gatewayconfigs", True),
}


def make(kind: str, namespace: str, name: str, /, **rest: object) -> Object:
    metadata = {"name": name, "namespace": namespace} if KINDS[kind][2] else {"name": name}
    return {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, **rest}


def path(kind: str, namespace: str = "", name: str = "") -> str:
    version, plural, namespaced = KINDS[kind]
    out = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    if namespaced and namespace:
        out += f"/namespaces/{namespace}"
    out += f"/{plural}"
    return out + (f"/{quote(name)}" if name else "")


class Cluster:
    """Threads have a connection each."""

    def __init__(self) -> None:
        self.token = (WORK / "pki/tokens.csv").read_text().split(",")[0]
        self.tls = ssl.create_default_context(cafile=str(WORK / "pki/ca.crt"))
        self.local = threading.local()

    def ask(self, method: str, where: str, body: object = None, form: str = "application/json") -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.token}", "content-type": form, "accept": "application/json"}
        data = None if body is None else json.dumps(body)
        for last in (False, True):
            if getattr(self.local, "connection", None) is None:
                self.local.connection = http.client.HTTPSConnection(ADDRESS, 6443, timeout=TIMEOUT, context=self.tls)
            try:
                self.local.connection.request(method, where, data, headers)
                response = self.local.connection.getresponse()
                return response.status, json.loads(response.read() or b"{}")
            except (OSError, http.client.HTTPException):
                self.local.connection.close()
                self.local.connection = None
                # A kept connection may have ended meanwhile.
                if last:
                    raise
        raise AssertionError("unreachable")

    def do(self, method: str, where: str, body: object = None, form: str = "application/json") -> Any:
        status, answer = self.ask(method, where, body, form)
        if status >= 300:
            raise Away(f"{method} {where}: {status} {answer.get('message', '')}")
        return answer

    def apply(self, *objects: Object) -> None:
        for thing in objects:
            meta = thing["metadata"]
            where = path(thing["kind"], meta.get("namespace", ""), meta["name"])
            self.do("PATCH", f"{where}?fieldManager=judge&force=true", thing, "application/apply-patch+yaml")

    def patch(self, kind: str, namespace: str, name: str, change: object) -> Any:
        return self.do("PATCH", path(kind, namespace, name), change, "application/merge-patch+json")

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        status, answer = self.ask("GET", path(kind, namespace, name))
        if status == 404:
            return None
        if status >= 300:
            raise Away(f"GET {kind} {namespace}/{name}: {status} {answer.get('message', '')}")
        return answer

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Object]:
        query = f"?labelSelector={quote(labels)}" if labels else ""
        return self.do("GET", path(kind, namespace) + query)["items"]

    def delete(self, kind: str, namespace: str, name: str) -> None:
        status, answer = self.ask("DELETE", path(kind, namespace, name))
        if status >= 300 and status != 404:
            raise Away(f"DELETE {kind} {namespace}/{name}: {status} {answer.get('message', '')}")


class ApiServer:
    """The process itself."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.child: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        pid = int((WORK / "apiserver.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        if self.child:
            self.child.wait()
        eventually("the API server is gone", 10, lambda: not self.answers())

    def answers(self) -> bool:
        try:
            return self.cluster.ask("GET", "/readyz/ping")[0] == 200
        except json.JSONDecodeError:
            return True
        except (OSError, http.client.HTTPException):
            return False

    def start(self) -> float:
        with (WORK / "logs/kube-apiserver.log").open("ab") as log:
            self.child = subprocess.Popen([WORK / "apiserver.sh"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        (WORK / "apiserver.pid").write_text(f"{self.child.pid}\n")
        return eventually("the API server is back", 120, lambda: self.cluster.ask("GET", path("Node"))[0] == 200)[1]


def condition(conditions: list[Object], kind: str) -> Object:
    return next((c for c in conditions if c["type"] == kind), {"status": "Missing", "reason": "", "message": ""})


def is_current(thing: Object, found: Object, status: str = "True") -> bool:
    return found["status"] == status and found.get("observedGeneration") == thing["metadata"]["generation"]
