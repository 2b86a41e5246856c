"""What a real registry takes from whoever writes to it: none of it may crash the program or reach Envoy as a NACK."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from bed import Http, Instance, Registrar, Server
from case import Case, instances, scenario

# What nothing can be dialled at. A name that could be one is left out: it would rightly be dialled, and not answer.
HOSTS = ("", "999.1.1.1", "1.2.3", "10.0.0.1\u0000", "0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "10.0.0.1:80")
HOSTS += ("a b", "-a", "中文", "a" * 5000, "http://10.0.0.1", "🙂", "\u202e10.0.0.1", "'; DROP TABLE")
PORTS = (0, -1, 65536, 10**12, "80x", "", None, 1.5, [80], {"$": 80})
NAMES = ("中文服务", "a b", "x" * 200, "UPPER", "quote\"'", "tab\t", "nul\u0000", "%2F%00", "🙂", "-", "..", "a:1.0:g")
METADATA = (
    {"nul\u0000": "\u0000"},
    {"中文": "值", "": "", "k" * 3000: "v"},
    {"line": "a\nb\r\nc: d", "quote": "\"'\\", "rtl": "\u202e", "lone": "\ud800"},
)
BIG = 600_000

Say = Callable[[str, list[bool]], None]


@scenario("hostile", "zookeeper", "consul", "eureka")
def hostile(case: Case) -> None:
    """Bad addresses, port 0 and other ports that are none, NUL, Chinese and odd names, large metadata, garbage, written
    into the real server beside a good instance. What the server itself refuses is counted. Served on: another good
    instance, registered after the bad ones, is routed to and goes again."""
    server = case.server()
    registrar = case.registrar(server)
    world = case.world()
    good, probe = instances("victim", 2)
    world.backends.start(good, probe)
    registrar.register(good)
    world.write("world", case.registry(server.address(), labels=["*"]), *case.served("victim"))
    world.start()
    world.until_served("victim", good, within=60)
    world.until_state("legacy", "live")
    driver = world.drive("victim", 100)
    assert world.program is not None
    pid = world.program.pid

    def say(what: str, taken: list[bool]) -> None:
        registrar.register(probe)
        world.probe("victim").until_seen(probe.key, 60)
        registrar.deregister(probe)
        world.probe("victim").until_gone(probe.key, 90)
        case.check(bool(taken), f"{what}: nothing was said")
        refused = f", {taken.count(False)} refused by the server" if False in taken else ""
        case.figure(what, f"{len(taken)} said{refused}; served on")
        case.check(taken.count(True) > 0 or what in UNTAKEN.get(case.kind.name, ()), f"{what}: the server took none")

    WRITERS[case.kind.type](server, registrar, good, say)
    hosts = world.hosts("shop/victim")
    case.check(set(hosts) == {good.key}, f"Envoy has {sorted(hosts)} instead of the good one")
    case.figure("services shown", len(world.services("legacy")))
    case.figure("findings of registries", (world.get("/api/v1/findings?format=json") or "").count("ISM14"))
    case.check(int(case.figures["findings of registries"]) > 0, "nothing of it was found")
    case.figure("requests", driver.none_failed("a hostile registry"))
    case.within("RSS, MB", world.memory() // 2**20, 300, "a few megabytes of bad data are no reason for more")
    case.check(world.program.poll() is None and world.program.pid == pid, "the program ended")
    case.check(world.state("legacy") in ("live", "degraded"), f"the source is {world.state('legacy')}")
    case.figure("updates that Envoy refused", world.rejected())


def _zookeeper(_: Server, registrar: Registrar, good: Instance, say: Say) -> None:
    client, number = registrar.client, 0

    def node(folder: str, data: bytes, name: str = "") -> bool:
        nonlocal number
        number += 1
        try:
            client.create(f"{folder}/{name or number}", data, ephemeral=True, makepath=True)
        except Exception:  # noqa: BLE001 - kazoo has a dozen ways to refuse a name or to lose a connection over it
            return False
        return True

    def curator(**values: Any) -> bytes:
        payload = {"@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance", "metadata": {}}
        return json.dumps(
            {"name": "victim", "id": "x", "address": good.ip, "port": 81, "payload": payload} | values
        ).encode()

    mine = "/services/victim"
    say("bad addresses", [node(mine, curator(address=host)) for host in HOSTS])
    say("bad ports", [node(mine, curator(address="10.99.1.200", port=port)) for port in PORTS])
    say("odd metadata", [node(mine, curator(port=0, payload={"metadata": one})) for one in METADATA])
    say("600 kB of metadata", [node(mine, curator(port=0, payload={"metadata": {"big": "x" * BIG}}))])
    garbage = (b"", b"\x00", b"\xff\xfe", b"{", b"[]", b"null", b'{"address":{}}', b"[" * 100_000, b"9" * 1000)
    say("garbage instead of JSON", [node(mine, one) for one in garbage])
    say("duplicates", [node(mine, curator(port=good.port)) for _ in range(20)])
    say("odd ids", [node(mine, curator(port=0), name) for name in NAMES if "/" not in name])
    say("odd names", [node(f"/services/{name}", curator()) for name in NAMES if name != ".."])
    urls = (
        "no url",
        "tri://",
        "tri://[::1",
        "tri://:0/a",
        "://",
        "tri://10.0.0.1:99999/a",
        "tri://a b:1/c",
        "中文://x:1/y",
    )
    urls += (
        "tri://10.0.0.1:0/a?" + "k=v&" * 20_000,
        "tri://10.0.0.1:0/a?weight=NaN&x=%00&%FF=%zz",
        "empty://0.0.0.0/a",
    )
    folder = "/dubbo/victim.Interface/providers"
    taken = [node(folder, b"", quote(url, safe="")) for url in urls]
    taken += [node(folder, b"", name) for name in ("%", "%zz", "%00", "%FF%FE", "plain", "中文")]
    say("bad URLs of Dubbo", taken)
    say("odd interfaces", [node(f"/dubbo/{name}/providers", b"", "x") for name in NAMES if name != ".."])
    say(
        "bad configurators",
        [node("/dubbo/victim.Interface/configurators", b"", name) for name in ("%", "override%3A%2F%2F")],
    )


def _consul(server: Server, _: Registrar, good: Instance, say: Say) -> None:
    http: Http = server.http
    number = 0

    def put(**values: Any) -> bool:
        nonlocal number
        number += 1
        body = {"ID": f"bad-{number}", "Name": "victim", "Address": good.ip, "Port": 81} | values
        return http.call("PUT", "/v1/agent/service/register", body=body)[0] == 200

    def catalogue(**values: Any) -> bool:
        """Past the agent, which checks more."""
        nonlocal number
        number += 1
        service = {"ID": f"bad-{number}", "Service": "victim", "Address": good.ip, "Port": 81} | values
        body = {"Node": f"node-{number}", "Address": "10.99.1.199", "Service": service}
        return http.call("PUT", "/v1/catalog/register", body=body)[0] == 200

    # An empty address means the node's own, which is good.
    say("bad addresses", [put(Address=host) for host in HOSTS if host])
    say("bad addresses past the agent", [catalogue(Address=host) for host in HOSTS if host])
    say("bad ports", [put(Address="10.99.1.200", Port=port) for port in PORTS])
    say("bad ports past the agent", [catalogue(Address="10.99.1.200", Port=port) for port in PORTS])
    say("odd metadata", [put(Port=0, Meta=one) for one in METADATA])
    say("much metadata", [put(Port=0, Meta={f"k{n}": "v" * 512 for n in range(64)})])
    say("much metadata past the agent", [catalogue(Port=0, Meta={f"k{n}": "v" * 512 for n in range(64)})])
    say("400 kB of tags", [put(Port=0, Tags=[f"tag-{n}=" + "x" * 90 for n in range(4000)])])
    say("odd tags", [put(Port=0, Tags=["", "=", "中文=值", "a=\u0000", "k" * 5000])])
    weights = ({"Passing": -1, "Warning": -1}, {"Passing": 2**31, "Warning": 0}, {"Passing": 0, "Warning": 0})
    say("bad weights", [put(Port=0, Weights=one) for one in weights])
    say("duplicates", [put(Port=good.port) for _ in range(20)])
    say("odd ids", [put(Port=0, ID=name) for name in NAMES])
    say("odd names", [put(Name=name) for name in NAMES])
    say("odd names past the agent", [catalogue(Service=name) for name in NAMES])


def _eureka(server: Server, _: Registrar, good: Instance, say: Say) -> None:
    http: Http = server.http
    number = 0

    def post(app: str = "VICTIM", **values: Any) -> bool:
        nonlocal number
        number += 1
        instance: dict[str, Any] = {"instanceId": f"bad-{number}", "hostName": good.ip, "app": app, "ipAddr": good.ip}
        instance |= {
            "status": "UP",
            "port": {"$": 81, "@enabled": "true"},
            "vipAddress": "victim",
            "metadata": {"a": "b"},
        }
        instance["securePort"] = {"$": 443, "@enabled": "false"}
        instance["dataCenterInfo"] = {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        }
        instance["leaseInfo"] = {"renewalIntervalInSecs": 30, "durationInSecs": 90}
        return http.call("POST", f"/eureka/apps/{quote(app, safe='')}", body={"instance": instance | values})[0] == 204

    off = {"$": 0, "@enabled": "true"}
    say("bad addresses", [post(ipAddr=host, hostName=host) for host in HOSTS])
    # Of 1.5 Eureka makes 1, which is a port.
    ports = [{"$": port, "@enabled": "true"} for port in PORTS if port != 1.5]
    say("bad ports", [post(ipAddr="10.99.1.200", hostName="10.99.1.200", port=port) for port in ports])
    say("odd metadata", [post(port=off, metadata=one) for one in METADATA])
    say("600 kB of metadata", [post(port=off, metadata={"big": "x" * BIG})])
    say("20,000 metadata keys", [post(port=off, metadata={f"k{n}": "v" for n in range(20_000)})])
    statuses = ("", "🙂", "up", "UP ", "x" * 5000, "DOWN\u0000")
    say("odd statuses", [post(port=off, status=status) for status in statuses])
    say("duplicates", [post(port={"$": good.port, "@enabled": "true"}) for _ in range(20)])
    say("odd ids", [post(port=off, instanceId=name) for name in NAMES])
    say("odd application names", [post(app=name, vipAddress=name) for name in NAMES if "\u0000" not in name])
    vips = (",,,", "victim," * 5000, "\u0000", "中文", "x" * 5000, " ", "VICTIM")
    say("odd VIP addresses", [post(port=off, vipAddress=vip) for vip in vips])
    # The last one: from now on this server takes seconds for every answer.
    say("10 MB of metadata", [post(port=off, metadata={"big": "x" * 10 * 2**20})])


WRITERS: dict[str, Callable[[Server, Registrar, Instance, Say], None]] = {
    "ZooKeeper": _zookeeper,
    "Consul": _consul,
    "Eureka": _eureka,
}
# What a server refuses as a whole.
UNTAKEN: dict[str, tuple[str, ...]] = {"consul": ("bad weights",)}
