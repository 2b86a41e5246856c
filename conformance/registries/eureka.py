"""Eureka: the real server (Spring Cloud), and applications that register by its REST interface."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from bed import HOST, Failure, Http, Instance, Registrar, Server, fetched

USER = "bed"
LEASE_SECONDS = 15
RENEWAL_SECONDS = 5


class Eureka(Server):
    kind, port = "eureka", 8761

    def __init__(self, work: Path, port: int = 0, password: str = "", peer: str = "", host: str = HOST) -> None:
        self.port = port or self.port
        self.password, self.peer, self.host = password, peer, host
        super().__init__(work)
        self.http = Http(host, self.port)

    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def command(self) -> list[str]:
        place = fetched(self.kind)
        peer = f"http://{self.peer or self.address()}/eureka/"
        settings = {
            "server.port": self.port,
            "spring.application.name": "eureka",
            "spring.cloud.config.enabled": "false",
            "spring.main.banner-mode": "off",
            "bed.password": self.password,
            "spring.security.user.name": USER,
            "spring.security.user.password": self.password or "unused",
            "eureka.instance.hostname": self.host,
            "eureka.client.register-with-eureka": bool(self.peer),
            "eureka.client.fetch-registry": bool(self.peer),
            "eureka.client.service-url.defaultZone": peer,
            "eureka.server.eviction-interval-timer-in-ms": 2000,
            "eureka.server.response-cache-update-interval-ms": 1000,
            "eureka.server.enable-self-preservation": "false",
            "eureka.server.wait-time-in-ms-when-sync-empty": 0,
        }
        flags = [
            f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.items()
        ]
        return [*self.java("192m", f"{place}/classes:{place}/lib/*", "bed.EurekaServer"), *flags]

    def ready(self) -> bool:
        status, _ = self._http().call("GET", "/eureka/apps")
        return status == 200

    def _http(self) -> Http:
        if self.password:
            word = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
            self.http.headers["Authorization"] = f"Basic {word}"
        return self.http

    def set_status(self, one: Instance, status: str) -> None:
        """`OUT_OF_SERVICE` and the like: the operator's override."""
        path = f"/eureka/apps/{one.service.upper()}/{identity(one)}/status"
        said, body = self._http().call("PUT", path, {"value": status})
        if said != 200:
            raise Failure(f"Eureka did not override: {said} {body[:200]!r}")

    def registrar(self) -> EurekaRest:
        return EurekaRest(self._http())


def identity(one: Instance) -> str:
    return f"{one.ip}:{one.service}:{one.port}"


class EurekaRest(Registrar):
    beat_every = float(RENEWAL_SECONDS)

    def __init__(self, http: Http) -> None:
        self.http = http
        super().__init__()

    def put(self, instance: Instance) -> None:
        status, body = self.http.call("POST", f"/eureka/apps/{instance.service.upper()}", body=_form(instance))
        if status != 204:
            raise Failure(f"Eureka refused {instance.key} of {instance.service}: {status} {body[:200]!r}")

    def remove(self, instance: Instance) -> None:
        status, body = self.http.call("DELETE", self._path(instance))
        if status != 200:
            raise Failure(f"Eureka did not remove {instance.key}: {status} {body[:200]!r}")

    def beat(self, instance: Instance) -> None:
        status, _ = self.http.call("PUT", self._path(instance))
        if status == 404:
            self.put(instance)

    def _path(self, one: Instance) -> str:
        return f"/eureka/apps/{one.service.upper()}/{identity(one)}"


def _form(one: Instance) -> dict[str, Any]:
    secure = one.extra.get("securePort")
    instance: dict[str, Any] = {
        "instanceId": identity(one),
        "hostName": one.ip,
        "app": one.service.upper(),
        "ipAddr": one.ip,
        "status": "UP",
        "overriddenstatus": "UNKNOWN",
        "port": {"$": one.port, "@enabled": str(not one.extra.get("onlySecure", False)).lower()},
        "securePort": {"$": secure or 443, "@enabled": str(bool(secure)).lower()},
        "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": RENEWAL_SECONDS, "durationInSecs": LEASE_SECONDS},
        "metadata": one.metadata or {"@class": "java.util.Collections$EmptyMap"},
        "vipAddress": one.service,
        "secureVipAddress": one.service,
    }
    instance |= {name: value for name, value in one.extra.items() if name in instance and name != "securePort"}
    return {"instance": instance}
