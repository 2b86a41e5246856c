"""ZooKeeper: the real server, and applications that write what Spring Cloud and Dubbo write."""

from __future__ import annotations

import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError
from kazoo.security import make_digest_acl

from bed import HOST, Failure, Instance, Registrar, Server, fetched

USER = "bed"
# Beats, of a second each, without a connection.
NEW_CLIENT_AFTER = 5
logging.getLogger("kazoo").setLevel(logging.CRITICAL)
CONFIG = """tickTime=500
minSessionTimeout=1000
maxSessionTimeout=60000
dataDir={place}/data
clientPort={port}
clientPortAddress=0.0.0.0
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
"""


class ZooKeeper(Server):
    kind, port = "zookeeper", 2181

    def __init__(self, work: Path, port: int = 0, password: str = "") -> None:
        self.port = port or self.port
        self.password = password
        super().__init__(work)

    def prepare(self) -> None:
        (self.place / "data").mkdir(exist_ok=True)
        (self.place / "zoo.cfg").write_text(CONFIG.format(place=self.place, port=self.port))

    def command(self) -> list[str]:
        place = fetched(self.kind)
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return [*self.java("256m", f"{place}/lib/*", main), str(self.place / "zoo.cfg")]

    def ready(self) -> bool:
        return self.four_letters("ruok") == "imok"

    def four_letters(self, word: str) -> str:
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as link:
                link.sendall(word.encode())
                link.shutdown(socket.SHUT_WR)
                out = b""
                while data := link.recv(65536):
                    out += data
                return out.decode(errors="replace")
        except OSError:
            return ""

    def registrar(self, timeout: float = 6.0) -> ZooKeeperSession:
        return ZooKeeperSession(self.address(), self.password, timeout)


class ZooKeeperSession(Registrar):
    """One session holds all that it registered; after an expiry it registers all again, as real clients do."""

    beat_every = 1.0

    def __init__(self, address: str, password: str = "", timeout: float = 6.0) -> None:
        self._address, self._password, self._timeout = address, password, timeout
        self._lost = threading.Event()
        self.client = self._connect()
        super().__init__()

    def _connect(self) -> KazooClient:
        acl = [make_digest_acl(USER, self._password, all=True)] if self._password else None
        auth = [("digest", f"{USER}:{self._password}")] if self._password else None
        retry = {"max_tries": -1, "delay": 0.1, "max_delay": 1.0}
        client = KazooClient(
            hosts=self._address, timeout=self._timeout, default_acl=acl, auth_data=auth, connection_retry=retry
        )
        client.add_listener(self._heard)
        client.start(30)
        return client

    def _heard(self, state: str) -> None:
        if state == KazooState.LOST:
            self._lost.set()

    def put(self, instance: Instance) -> None:
        path, data = node(instance)
        try:
            self.client.create(path, data, ephemeral=True, makepath=True)
        except NodeExistsError:
            self.client.delete(path)
            self.client.create(path, data, ephemeral=True, makepath=True)
        except KazooException as error:
            raise Failure(f"ZooKeeper refused {path}: {error!r}") from None

    def remove(self, instance: Instance) -> None:
        try:
            self.client.delete(node(instance)[0])
        except NoNodeError:
            raise Failure(f"ZooKeeper does not have {instance.key}") from None

    def _beats(self) -> None:
        away = 0
        while not self._closed.wait(self.beat_every):
            away = 0 if self.client.connected else away + 1
            try:
                if away >= NEW_CLIENT_AFTER:
                    # A server that lost its data refuses for ever a client that has seen a later transaction; an
                    # application has to be started again.
                    _end(self.client)
                    self.client, away = self._connect(), 0
                    self._lost.set()
                if self._lost.is_set() and self.client.connected:
                    self._lost.clear()
                    with self._lock:
                        alive = list(self._alive.values())
                    for one in alive:
                        self.put(one)
            except (Failure, KazooException, self.client.handler.timeout_exception):
                self._lost.set()

    def close(self) -> None:
        super().close()
        _end(self.client)

    def die(self) -> None:
        """No goodbye: the server removes the nodes when the session's time is up."""
        super().close()
        # kazoo has no word for dying: it is told to end, and its connection breaks before it can say so.
        self.client._stopped.set()
        self.client._connection._socket.shutdown(socket.SHUT_RDWR)


def _end(client: KazooClient) -> None:
    try:
        client.stop()
        client.close()
    except KazooException:
        pass


def node(one: Instance) -> tuple[str, bytes]:
    """Path and payload. `extra["url"]`: an interface-level Dubbo provider; else Spring Cloud's form."""
    if "url" in one.extra:
        return dubbo_node(one)
    identity = one.extra.get("id", one.key)
    payload = {
        "@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",
        "id": one.service,
        "name": one.service,
        "metadata": {"instance_status": one.extra.get("status", "UP")} | one.metadata,
    }
    body: dict[str, Any] = {"name": one.service, "id": identity, "address": one.ip, "port": one.port}
    body |= {"sslPort": one.extra.get("sslPort"), "payload": payload, "registrationTimeUTC": 1795529178957}
    body |= {"serviceType": "DYNAMIC", "uriSpec": None}
    return f"/services/{one.service}/{identity}", json.dumps(body).encode()


def dubbo_node(one: Instance) -> tuple[str, bytes]:
    """`extra["url"]` has the parameters of the provider's URL, `service` is the interface."""
    protocol = one.extra.get("protocol", "tri")
    values = {"application": "bed", "category": "providers", "interface": one.service, "side": "provider"}
    values |= {"methods": "greet", "release": "3.3.6", "weight": f"{one.weight:g}", "dynamic": "true"}
    values |= one.extra["url"]
    url = f"{protocol}://{one.key}/{one.service}?{urlencode(values)}"
    return f"/dubbo/{one.service}/providers/{quote(url, safe='')}", one.ip.encode()
