"""The control plane: a process at the bridge, its documents in a folder that scenarios edit."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from case import Failed, eventually
from net import BRIDGE4, PUBLIC, WORK, run

Json = dict[str, Any]
XDS_PORT, HTTP_PORT = 18000, 8080
TOKEN = "the-judge"
PROGRAM = os.environ["ISTHMUS_JUDGE_BIN"]


def make(kind: str, namespace: str, name: str, **fields: Any) -> Json:
    versions = {"Service": "v1", "Pod": "v1", "Namespace": "v1", "ConfigMap": "v1", "Secret": "v1", "EndpointSlice": "discovery.k8s.io/v1"}
    upstream = ("GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant")
    version = versions.get(kind) or ("gateway.networking.k8s.io/v1" if kind in upstream else "isthmus.dev/v1alpha1")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **fields.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


class Folder:
    """Documents, as JSON, which is YAML too."""

    def __init__(self) -> None:
        self.path = WORK / "documents"
        self.path.mkdir(exist_ok=True)

    def put(self, name: str, *documents: Json) -> None:
        """Whole or not at all."""
        new = self.path / f".{name}.new"
        new.write_text("\n---\n".join(json.dumps(document, indent=1) for document in documents) + "\n")
        new.rename(self.path / f"{name}.yaml")

    def drop(self, *names: str) -> None:
        for name in names:
            (self.path / f"{name}.yaml").unlink(missing_ok=True)


class Isthmus:
    def __init__(self) -> None:
        self.folder = Folder()
        self.pki = PUBLIC / "pki"
        self.tokens = WORK / "grants"
        self.extra: dict[str, object] = {}
        self.grants: list[str] = []
        self.child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """A certificate for the xDS port, which every pod knows the authority of."""
        self.pki.mkdir()
        authority = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        names = ["-addext", f"subjectAltName=IP:{BRIDGE4}", "-addext", "basicConstraints=critical,CA:FALSE"]
        run("openssl", "req", *authority, "-subj", "/CN=xds", "-out", self.pki / "ca.crt", "-keyout", WORK / "ca.key")
        run("openssl", "req", *authority, "-subj", "/CN=isthmus", *names, "-CA", self.pki / "ca.crt", "-CAkey", WORK / "ca.key", "-out", WORK / "xds.crt", "-keyout", WORK / "xds.key")

    def join(self, words: list[str], file: Path, owner: int) -> None:
        """A join token for a workload, of which its Envoy's user has the file."""
        self.grants.append(run(PROGRAM, "token", "join", *words, "--to", file).strip())
        os.chown(file, owner, owner)
        file.chmod(0o400)
        self.write_grants()

    def let_in(self, gateway: str, file: Path, owner: int) -> None:
        """The same for the Envoy of a Gateway."""
        token = os.urandom(32).hex()
        self.grants.append(f"sha256:{hashlib.sha256(token.encode()).hexdigest()} gateway {gateway}")
        file.write_text(token)
        os.chown(file, owner, owner)
        file.chmod(0o400)
        self.write_grants()

    def write_grants(self) -> None:
        self.tokens.write_text("".join(f"{line}\n" for line in self.grants))

    def start(self) -> None:
        # The HTTP port is not on loopback, so whoever asks must say who they are.
        (WORK / "api-token").write_text(TOKEN)
        api_tokens = WORK / "api-tokens"
        api_tokens.write_text(f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()} admin *\n")
        arguments: dict[str, object] = {
            "source-dir": self.folder.path,
            "xds-listen": f"{BRIDGE4}:{XDS_PORT}",
            "xds-tls-cert": WORK / "xds.crt",
            "xds-tls-key": WORK / "xds.key",
            "xds-tokens-file": self.tokens,
            "http-listen": f"{BRIDGE4}:{HTTP_PORT}",
            "api-tokens-file": api_tokens,
            "state-dir": WORK / "state",
            "replica": "judge",
            "log-level": os.environ.get("ISTHMUS_JUDGE_LOG", "info"),
            **self.extra,
        }
        flags = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        with (WORK / "logs/isthmus.log").open("ab") as log:
            self.child = subprocess.Popen([PROGRAM, "serve", *flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        eventually("Isthmus is ready", 30, self.ready)

    def stop(self) -> None:
        if self.child:
            self.child.send_signal(signal.SIGTERM)
            self.child.wait(30)
            self.child = None

    def ready(self) -> bool:
        if self.child is None or self.child.poll() is not None:
            raise Failed(f"Isthmus has ended: {(WORK / 'logs/isthmus.log').read_text()[-2000:]}")
        return self.ask("/readyz")[0] == 200

    def ask(self, path: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(BRIDGE4, HTTP_PORT, timeout=20)
        try:
            connection.request(method, path, body, {"authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def items(self, what: str) -> list[Json]:
        status, body = self.ask(f"/api/v1/{what}")
        if status != 200:
            raise OSError(f"/api/v1/{what}: {status} {body[:200]!r}")
        return json.loads(body)["items"]

    def findings(self, code: str = "") -> list[Json]:
        return [one for one in self.items("findings") if code in one["code"]]

    def metrics(self, name: str) -> dict[str, float]:
        """By labels, as they are written."""
        text = self.ask("/metrics")[1].decode()
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def reloads(self) -> float:
        """How often changed files of credentials were read again."""
        return sum(self.metrics("isthmus_file_reloads_total").values())

    def cli(self, *words: object) -> str:
        return run(PROGRAM, *words, "--server", f"http://{BRIDGE4}:{HTTP_PORT}", "--token-file", WORK / "api-token")

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid
