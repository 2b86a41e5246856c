"""The replicas: processes beside the API server, as the ServiceAccount, behind one address for their Envoys."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
from typing import Any

from cluster import ADDRESS, WORK, Cluster, Object, eventually, make

# The address that their Service has, which is in the certificate of the bed.
XDS = ("10.244.1.240", 18000)
NAMESPACE = "isthmus-system"
# Their HTTP ports are not on loopback, so whoever asks must say who they are.
TOKEN = "the-judge"


class Replica:
    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.xds, self.http = 18000 + number, 8080 + number
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        pki = WORK / "pki"
        tokens = WORK / "api-tokens"
        tokens.write_text(f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()} admin *\n")
        arguments = {
            "kubeconfig": os.environ["ISTHMUS_KUBECONFIG"],
            "replica": self.name,
            "xds-listen": f"{ADDRESS}:{self.xds}",
            "xds-tls-cert": pki / "isthmus-xds.crt",
            "xds-tls-key": pki / "isthmus-xds.key",
            "fleet-xds-address": f"{XDS[0]}:{XDS[1]}",
            "fleet-xds-ca": pki / "ca.crt",
            "http-listen": f"{ADDRESS}:{self.http}",
            "api-tokens-file": tokens,
            "state-dir": WORK / f"state-{self.name}",
            "log-level": os.environ.get("ISTHMUS_JUDGE_LOG", "info"),
        }
        flags = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        with (WORK / f"logs/isthmus-{self.name}.log").open("ab") as log:
            command = [os.environ["ISTHMUS_JUDGE_BIN"], "serve", "--kubernetes", *flags]
            self.child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def lives(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.child is not None
        self.child.wait()

    def ask(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(ADDRESS, self.http, timeout=10)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def api(self, path: str) -> Any:
        return json.loads(self.ask(f"/api/v1/{path}")[1])

    def items(self, path: str) -> list[Any]:
        return self.api(path)["items"]

    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200

    def wait_ready(self, limit: float = 60) -> float:
        return eventually(f"replica {self.name} is ready", limit, self.ready)[1]

    def metrics(self, name: str) -> dict[str, float]:
        """By labels, as they are written."""
        text = self.ask("/metrics")[1].decode()
        found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def content(self) -> str:
        """What it serves, in one word."""
        return " ".join(f"{value:.0f}" for _, value in sorted(self.metrics("isthmus_content_hash").items()))

    def source(self) -> Any:
        return next(source for source in self.items("sources") if source["name"] == "kubernetes")

    def live(self) -> bool:
        return self.source()["state"] == "live"

    def findings(self, *words: str) -> list[Any]:
        """Those that have all of these words in them."""
        return [f for f in self.items("findings") if all(word in json.dumps(f) for word in words)]

    def proxies(self, gateway: str) -> list[Any]:
        return [proxy for proxy in self.items("proxies") if proxy["scope"] == gateway]

    def cpu(self) -> float:
        """Seconds so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> float:
        """MiB."""
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024  # type: ignore[index]


class Replicas:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.all = [Replica("a", 1), Replica("b", 2)]

    def objects(self) -> list[Object]:
        """A Service that leads to all of them. Nobody takes one out of it that has ended: the Envoys try again."""
        port = {"name": "xds", "port": XDS[1], "protocol": "TCP"}
        spec = {"type": "LoadBalancer", "loadBalancerIP": XDS[0], "ports": [port]}
        service = make("Service", NAMESPACE, "isthmus-xds", spec=spec)
        slices = []
        for replica in self.all:
            out = make(
                "EndpointSlice",
                NAMESPACE,
                f"isthmus-xds-{replica.name}",
                addressType="IPv4",
                ports=[{"name": "xds", "port": replica.xds, "protocol": "TCP"}],
                endpoints=[{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            )
            out["metadata"]["labels"] = {"kubernetes.io/service-name": "isthmus-xds"}
            slices.append(out)
        return [service, *slices]

    def start(self) -> None:
        self.cluster.apply(*self.objects())
        for replica in self.all:
            replica.start()
        for replica in self.all:
            replica.wait_ready()

    def leader(self) -> Replica | None:
        """Whom the Lease names; a name of one that has ended is nobody's."""
        lease = self.cluster.get("Lease", NAMESPACE, "isthmus-leader")
        holder = ((lease or {}).get("spec") or {}).get("holderIdentity") or ""
        for replica in self.all:
            if holder.startswith(f"{replica.name}_") and replica.lives():
                if replica.metrics("isthmus_leader").get("", 0) == 1:
                    return replica
        return None

    def wait_leader(self, limit: float = 60) -> tuple[Replica, float]:
        leader, took = eventually("one of them leads", limit, self.leader)
        assert leader is not None
        return leader, took

    def proxies(self, gateway: str) -> list[Any]:
        return [proxy for replica in self.all if replica.lives() for proxy in replica.proxies(gateway)]

    def agree(self) -> bool:
        return len({replica.content() for replica in self.all}) == 1
