"""Real applications: a Dubbo provider and consumer, a Spring Cloud Eureka client."""

from __future__ import annotations

from pathlib import Path

from bed import Http, Server, fetched


class _App(Server):
    main = ""

    def __init__(self, work: Path, name: str, *arguments: str) -> None:
        self.kind, self.arguments = name, arguments
        super().__init__(work)

    def command(self) -> list[str]:
        place = fetched("apps") / self.kind
        return [*self.java("160m", f"{place}/classes:{place}/lib/*", self.main), *self.arguments]

    def said(self) -> list[str]:
        file = self.place / "log"
        return file.read_text(errors="replace").splitlines() if file.exists() else []


class DubboProvider(_App):
    """`mode`: interface, instance or all. `metadata`: local (asked of the provider) or remote (in the registry)."""

    main = "lab.Provider"

    def __init__(self, work: Path, registry: str, ip: str, port: int = 50051, **said: str) -> None:
        words = {"protocol": "tri", "mode": "all", "metadata": "remote", "weight": "80"} | said
        arguments = [registry, words["protocol"], str(port), words["mode"], words["metadata"], words["weight"]]
        arguments += [words.get(name, "") for name in ("tag", "version", "group")]
        self.port = port
        super().__init__(work, "dubbo-provider", *arguments)
        self.environment = {"DUBBO_IP_TO_REGISTRY": ip}

    def ready(self) -> bool:
        return "READY" in self.said()


class DubboConsumer(_App):
    """Calls once a second; `to` is a registry, or the address itself."""

    main = "lab.Consumer"

    def __init__(self, work: Path, to: str) -> None:
        super().__init__(work, "dubbo-consumer", to)

    def ready(self) -> bool:
        return self.greeted() > 0

    def greeted(self) -> int:
        return sum(line.startswith("GOT hello") for line in self.said())


class EurekaApp(_App):
    main = "lab.EurekaApp"

    def __init__(self, work: Path, eureka: str, ip: str, name: str, port: int = 8080) -> None:
        self.ip, self.port = ip, port
        settings = {
            "server.port": port,
            "server.address": ip,
            "spring.application.name": name,
            "spring.main.banner-mode": "off",
            "eureka.client.service-url.defaultZone": f"http://{eureka}/eureka/",
            "eureka.instance.ip-address": ip,
            # By default it is made of the machine's name, which is the same for all that run here.
            "eureka.instance.instance-id": f"{ip}:{name}:{port}",
            "eureka.instance.prefer-ip-address": "true",
            "eureka.instance.lease-renewal-interval-in-seconds": 5,
            "eureka.instance.lease-expiration-duration-in-seconds": 15,
            "eureka.instance.metadata-map.zone": "z1",
        }
        super().__init__(work, "eureka-client", *(f"--{key}={value}" for key, value in settings.items()))

    def ready(self) -> bool:
        return Http(self.ip, self.port).call("GET", "/")[0] == 200
