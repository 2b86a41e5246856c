"""Consul: the real agent as a single server, and applications that register with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bed import HOST, Failure, Http, Instance, Registrar, Server, fetched

TTL = "30s"
CONFIG = {"ports": {"grpc": -1, "grpc_tls": -1, "dns": -1}, "disable_update_check": True, "enable_debug": False}


class Consul(Server):
    """With `keep` it keeps its data on disk, as a production server; else all is in memory (`-dev`)."""

    kind, port = "consul", 8500

    def __init__(self, work: Path, keep: bool = True, token: str = "") -> None:
        self.keep, self.token = keep, token
        super().__init__(work)
        self.http = Http(HOST, self.port, {"X-Consul-Token": token} if token else {})

    def prepare(self) -> None:
        config: dict[str, Any] = dict(CONFIG)
        # A test may ask faster than the default limit of 200 connections from one address allows.
        config["limits"] = {"http_max_conns_per_client": 2000}
        if self.token:
            config["acl"] = {
                "enabled": True,
                "default_policy": "deny",
                "tokens": {"initial_management": self.token, "agent": self.token},
            }
        (self.place / "consul.json").write_text(json.dumps(config))

    def command(self) -> list[str]:
        out = [str(fetched(self.kind) / "consul"), "agent", "-config-file", str(self.place / "consul.json")]
        out += ["-bind", HOST, "-client", "0.0.0.0", "-node", "bed", "-http-port", str(self.port)]
        if self.keep:
            return [*out, "-server", "-bootstrap-expect=1", "-data-dir", str(self.place / "data")]
        return [*out, "-dev"]

    def ready(self) -> bool:
        """Elected, and its own health check is there."""
        status, body = self.http.call("GET", "/v1/health/service/consul")
        return status == 200 and len(body) > 10

    def maintain(self, one: Instance, on: bool, why: str = "bed") -> None:
        query = {"enable": str(on).lower(), "reason": why}
        status, body = self.http.call("PUT", f"/v1/agent/service/maintenance/{identity(one)}", query)
        if status != 200:
            raise Failure(f"Consul did not change the maintenance mode: {status} {body[:200]!r}")

    def check(self, one: Instance, state: str) -> None:
        """`pass`, `warn` or `fail`."""
        status, body = self.http.call("PUT", f"/v1/agent/check/{state}/service:{identity(one)}")
        if status != 200:
            raise Failure(f"Consul did not take the check: {status} {body[:200]!r}")

    def make_token(self) -> str:
        """Another token that may do all; Consul's answer has its secret."""
        body = {"Policies": [{"Name": "global-management"}]}
        return str(self.http.json("PUT", "/v1/acl/token", body=body)["SecretID"])

    def registrar(self) -> ConsulAgent:
        return ConsulAgent(self.http)


def identity(one: Instance) -> str:
    return f"{one.service}-{one.ip}-{one.port}"


class ConsulAgent(Registrar):
    def __init__(self, http: Http) -> None:
        self.http = http
        super().__init__()

    def put(self, instance: Instance) -> None:
        check = {"CheckID": f"service:{identity(instance)}", "TTL": TTL, "Status": "passing"}
        body = {
            "ID": identity(instance),
            "Name": instance.service,
            "Address": instance.ip,
            "Port": instance.port,
            "Meta": instance.metadata,
            "Check": check,
            "Weights": {"Passing": max(1, int(instance.weight)), "Warning": 1},
        }
        status, said = self.http.call("PUT", "/v1/agent/service/register", body=body | instance.extra)
        if status != 200:
            raise Failure(f"Consul refused {instance.key} of {instance.service}: {status} {said[:200]!r}")

    def remove(self, instance: Instance) -> None:
        status, said = self.http.call("PUT", f"/v1/agent/service/deregister/{identity(instance)}")
        if status != 200:
            raise Failure(f"Consul did not remove {instance.key}: {status} {said[:200]!r}")

    def beat(self, instance: Instance) -> None:
        status, _ = self.http.call("PUT", f"/v1/agent/check/pass/service:{identity(instance)}")
        if status in (404, 500):
            self.put(instance)
