"""An Envoy that claims to be orders, with a token of another workload, an expired one, an unknown one and none: it gets no configuration and no certificate. With its own it gets both."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

from case import Case, eventually
from net import WORK
from pod import ENVOY_USER, Pod
from scenarios.mtls import identities
from world import LIMIT, World

SUBJECT = "orders@example.org"


def play(world: World, case: Case) -> None:
    isthmus = world.isthmus
    signer = Signer()
    isthmus.stop()
    isthmus.extra |= {"xds-jwks-file": signer.jwks, "xds-jwt-audience": "isthmus"}
    isthmus.grants.append(f"sub:{SUBJECT} sidecar ns/shop/sa/orders")
    isthmus.write_grants()
    isthmus.start()
    mallory = Pod("mallory", 66, "orders", "shop")
    tokens = {
        "another workload's token": (world.token(world.pods["web-1"]).read_text(), "7"),
        "a token for a gateway": (world.token(world.edge).read_text(), "7"),
        "an unknown token": (hashlib.sha256(b"guess").hexdigest(), "16"),
        "an expired JWT": (signer.sign(SUBJECT, time.time() - 60), "16"),
        "a JWT for another audience": (signer.sign(SUBJECT, time.time() + 600, "others"), "16"),
        "a JWT that somebody else signed": (Signer("other").sign(SUBJECT, time.time() + 600), "16"),
        "no token": (None, "16"),
    }
    try:
        for what, (token, code) in tokens.items():
            attempt(world, case, mallory, what, token, code)
        # Not that nobody would get anything.
        for what, token in (("its own join token", world.token(world.pods["orders-1"]).read_text()), ("a good JWT", signer.sign(SUBJECT, time.time() + 600))):
            start(world, mallory, token)
            mallory.wait_live()
            eventually("it has a certificate", LIMIT, lambda: identities(mallory))
            case.equal(f"with {what}: its certificate", identities(mallory), {"spiffe://cluster.local/ns/shop/sa/orders"})
            case.check("... and its configuration", mallory.dump("dynamic_listeners"), f"{len(mallory.dump('dynamic_active_clusters'))} clusters")
            mallory.stop_envoy()
        secret = [token for token, _ in tokens.values() if token]
        log = (WORK / "logs/isthmus.log").read_text()
        case.check("no token is in the log", not any(token in log for token in secret), "")
    finally:
        mallory.remove()


def start(world: World, pod: Pod, token: str | None) -> None:
    file = None
    if token:
        file = pod.folder / "token"
        file.unlink(missing_ok=True)
        file.write_text(token)
        os.chown(file, ENVOY_USER, ENVOY_USER)
        file.chmod(0o400)
    pod.start_envoy(world.bootstrap(pod, file), "info")


def attempt(world: World, case: Case, pod: Pod, what: str, token: str | None, code: str) -> None:
    log = WORK / f"logs/{pod.name}-envoy.log"
    since = log.stat().st_size if log.exists() else 0
    start(world, pod, token)

    def refused() -> str:
        text = log.read_text()[since:]
        lines = [line for line in text.splitlines() if "stream to isthmus closed" in line]
        return lines[-1] if lines else ""

    # It asks again and again: three times are enough.
    said, _ = eventually(f"{what}: the stream is closed", LIMIT, lambda: refused() if pod.stat("cluster_manager.cds.update_attempt") >= 3 else "")
    case.check(f"with {what}: refused", f"closed: {code}," in said, said[-140:])
    got = len(pod.dump("dynamic_active_clusters")) + len(pod.dump("dynamic_listeners")) + len(pod.dump("dynamic_active_secrets"))
    case.equal("... no configuration", (got, pod.stat("cluster_manager.cds.update_success")), (0, 0))
    case.equal("... and no certificate", identities(pod), set())
    pod.stop_envoy()


class Signer:
    """JWTs of RS256, and the keys that tell them."""

    def __init__(self, name: str = "jwt") -> None:
        self.key = WORK / f"{name}.key"
        run = lambda *words: subprocess.run([str(word) for word in words], check=True, capture_output=True).stdout  # noqa: E731
        run("openssl", "genrsa", "-out", self.key, "2048")
        modulus = bytes.fromhex(run("openssl", "rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2])
        self.jwks: Path = WORK / f"{name}.jwks"
        self.jwks.write_text(json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": _text(modulus), "e": "AQAB"}]}))

    def sign(self, subject: str, end: float, audience: str = "isthmus") -> str:
        claims = {"sub": subject, "aud": audience, "exp": int(end), "iat": int(end) - 3600}
        signed = f"{_text(json.dumps({'alg': 'RS256', 'kid': 'one', 'typ': 'JWT'}).encode())}.{_text(json.dumps(claims).encode())}"
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{_text(done.stdout)}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
