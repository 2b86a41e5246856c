"""Nacos 2 and 3: the real server, and applications that register by its HTTP and gRPC interfaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bed import HOST, Failure, Http, Instance, NotRun, Registrar, Server, fetched, until

USER = "nacos"
# Any 32 bytes will do; only this bed's tokens are signed with it.
TOKEN_SECONDS = 30
TOKEN_KEY = "aXN0aG11cy10ZXN0LWJlZC10b2tlbi1rZXktMDEyMzQ1Njc4OQ=="


class _Nacos(Server):
    main = ""
    port_flag = ""
    ready_path = ""
    users = ""

    def __init__(self, work: Path, port: int = 0, password: str = "", push_delay_ms: int = 500) -> None:
        """`push_delay_ms`: for how long Nacos gathers changes before it pushes; 500 is its own default."""
        self.port = port or self.port
        self.password = password
        self.push_delay_ms = push_delay_ms
        super().__init__(work)
        self.http = Http(HOST, self.port)

    def prepare(self) -> None:
        settings = {
            "nacos.core.auth.enabled": str(bool(self.password)).lower(),
            "nacos.core.auth.admin.enabled": "false",
            "nacos.core.auth.console.enabled": "false",
            "nacos.core.auth.system.type": "nacos",
            "nacos.core.auth.plugin.nacos.token.secret.key": TOKEN_KEY,
            # So that a changed password is felt within a test; a token lives as long as it says, whatever the password.
            "nacos.core.auth.plugin.nacos.token.expire.seconds": str(TOKEN_SECONDS),
            "nacos.core.auth.server.identity.key": "bed",
            "nacos.core.auth.server.identity.value": "bed",
            "nacos.inetutils.ip-address": HOST,
            "nacos.naming.push.pushTaskDelay": str(self.push_delay_ms),
            # Derby's own limit of 3 s ends the start on a busy machine.
            "db.pool.config.connectionTimeout": "60000",
            "server.servlet.contextPath": "/nacos",
            "management.metrics.export.elastic.enabled": "false",
            "management.metrics.export.influx.enabled": "false",
        }
        (self.place / "conf").mkdir(exist_ok=True)
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.place / "conf" / "application.properties").write_text(text)

    def command(self) -> list[str]:
        lib = fetched(self.kind)
        # Two jars carry `com.caucho.hessian`; with the wrong one first Nacos 3 does not start or never pushes.
        first = ":".join(str(jar) for jar in sorted(lib.glob("lib/hessian-4.*.jar")))
        path = f"{lib}/classes:{first}:{lib}/lib/*"
        options = ["--add-opens=java.base/java.lang=ALL-UNNAMED", "-Dnacos.standalone=true"]
        options += [f"-Dnacos.home={self.place}", f"-Dnacos.logs.path={self.place}/logs"]
        options += [f"-Dspring.config.additional-location=file:{self.place}/conf/", f"-D{self.port_flag}={self.port}"]
        return self.java("384m", path, self.main, *options)

    def ready(self) -> bool:
        return self.http.call("GET", self.ready_path)[0] == 200

    # What a person would change in the console

    def set_password(self, new: str) -> None:
        """The first one."""
        status, body = self.http.call("POST", self.users + "/admin", {"password": new})
        if status != 200:
            raise Failure(f"the password was not set: {status} {body[:200]!r}")
        # A new user and its role are refused until Nacos reads its tables again, every 15 s.
        until("the password is taken", self.token, 40, 0.5)
        query = {"serviceName": "none", "accessToken": self.token()}
        path = "/nacos/v1/ns/instance/list"
        until("the role is taken", lambda: self.http.call("GET", path, query)[0] == 200, TOKEN_SECONDS - 5, 0.5)

    def token(self) -> str | None:
        """Nothing where there is no password, or where it is refused."""
        if not self.password:
            return None
        body = urlencode({"username": USER, "password": self.password})
        status, content = self.http.call("POST", self.users + "/login", body=body)
        if status != 200:
            return None
        said = json.loads(content)
        return str((said.get("data") or said)["accessToken"])

    def change(self, instance: Instance, **values: Any) -> None:
        """Edits a registered instance through the interface of its version."""
        query = _query(instance) | values
        status, body = self.http.call("PUT", self.edit, query)
        if status != 200:
            raise Failure(f"{self.edit} answered {status}: {body[:200]!r}")

    def protect(self, service: str, threshold: float) -> None:
        query = {"serviceName": service, "protectThreshold": threshold, "groupName": "DEFAULT_GROUP"}
        for method in ("POST", "PUT"):
            status, body = self.http.call(method, self.services, query)
            if status == 200:
                return
        raise Failure(f"protectThreshold was refused: {status} {body[:200]!r}")

    def healthy(self, service: str) -> int:
        """How many of its instances are, without the protection that Nacos' own answers to clients have."""
        query = {"serviceName": service, "groupName": "DEFAULT_GROUP", "clusterName": "DEFAULT", "pageNo": 1}
        said = self.http.json("GET", self.catalogue, query | {"pageSize": 100})
        said = said.get("data") or said
        listed = said if isinstance(said, list) else said.get("list") or said.get("pageItems") or []
        return sum(bool(one["healthy"]) for one in listed)

    def registrar(self) -> NacosHttp:
        return NacosHttp(self.http, self.token)


class Nacos3(_Nacos):
    kind, main, port, port_flag = "nacos3", "Nacos3Server", 8848, "nacos.server.main.port"
    ready_path = "/nacos/v3/admin/core/state"
    users = "/nacos/v3/auth/user"
    edit, services = "/nacos/v3/admin/ns/instance", "/nacos/v3/admin/ns/service"
    catalogue = "/nacos/v3/admin/ns/instance/list"


class Nacos2(_Nacos):
    kind, main, port, port_flag = "nacos2", "Nacos2Server", 8868, "server.port"
    ready_path = "/nacos/v1/ns/operator/metrics"
    edit, services = "/nacos/v1/ns/instance", "/nacos/v1/ns/service"
    catalogue = "/nacos/v1/ns/catalog/instances"

    def set_password(self, new: str) -> None:
        raise NotRun("the published parts of Nacos 2.3.2 have no login")


def _query(one: Instance) -> dict[str, Any]:
    query: dict[str, Any] = {"serviceName": one.service, "ip": one.ip, "port": one.port, "weight": one.weight}
    query |= {"groupName": "DEFAULT_GROUP", "ephemeral": "true", "metadata": json.dumps(one.metadata)}
    return query | one.extra


class NacosHttp(Registrar):
    """By the client interface of version 1, which 2.x and 3.1 both serve: an instance lives by its heartbeats."""

    def __init__(self, http: Http, login: Callable[[], str | None]) -> None:
        self.http = http
        self._login = login
        self._token: dict[str, str] = {}
        super().__init__()

    def put(self, instance: Instance) -> None:
        status, body = self._call("POST", "/nacos/v1/ns/instance", _query(instance))
        if status != 200:
            raise Failure(f"Nacos refused {instance.key} of {instance.service}: {status} {body[:200]!r}")

    def remove(self, instance: Instance) -> None:
        status, body = self._call("DELETE", "/nacos/v1/ns/instance", _query(instance))
        if status != 200:
            raise Failure(f"Nacos did not remove {instance.key}: {status} {body[:200]!r}")

    def beat(self, instance: Instance) -> None:
        query = {"serviceName": instance.service, "ip": instance.ip, "port": instance.port}
        query |= {"groupName": "DEFAULT_GROUP", "clusterName": instance.extra.get("clusterName", "DEFAULT")}
        status, body = self._call("PUT", "/nacos/v1/ns/instance/beat", query)
        if status and (status != 200 or json.loads(body or b"{}").get("code") == 20404):
            self.put(instance)

    def _call(self, method: str, path: str, query: dict[str, Any]) -> tuple[int, bytes]:
        """With a token, and once more with a new one where the old one has ended."""
        status, body = self.http.call(method, path, query | self._token)
        if status == 403 and (token := self._login()):
            self._token = {"accessToken": token}
            status, body = self.http.call(method, path, query | self._token)
        return status, body


class NacosConnection:
    """An application that registers by gRPC: all its instances of a service live as long as its one connection."""

    def __init__(self, port: int, host: str = HOST) -> None:
        import nacos_wire

        self._wire = nacos_wire.Client(f"{host}:{port + 1000}")

    def register(self, *instances: Instance) -> None:
        """The FULL set of one service, in one request."""
        name = instances[0].service
        listed = [_instance(one) for one in instances]
        self._wire.ask(
            "BatchInstanceRequest",
            {"namespace": "public", "serviceName": name, "groupName": "DEFAULT_GROUP", "type": "batchRegisterInstance"}
            | {"instances": listed, "module": "naming"},
        )

    def drop(self) -> None:
        """The host died: the server removes all that this connection registered."""
        self._wire.close()


def _instance(one: Instance) -> dict[str, Any]:
    out: dict[str, Any] = {"ip": one.ip, "port": one.port, "weight": one.weight, "metadata": one.metadata}
    out |= {"healthy": True, "enabled": True, "ephemeral": True, "clusterName": "DEFAULT", "serviceName": one.service}
    return out | one.extra
