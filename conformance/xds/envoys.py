"""Real Envoys, each in eight variants: aggregated or single-type, SotW or delta, fresh or reconnecting."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import config_source_pb2
from google.protobuf import json_format

import certificates
from bootstrap import bootstrap, source
from case import ALL, Case, Outcome, Variant
from client import QUIET
from server import free_port, http_get, until
from translator import Translator
from verdict import Failure, Verdict, check, equal
from world import Listener, World, cluster, listener, table

# The releases before the one that `lib/envoy.sh` gives by itself: the latest patch of each that its package has.
OLDER_VERSIONS = ("1.36.4", "1.37.0", "1.38.3", "1.39.3")
# An Envoy that waits for something to come waits 15 s for it; one that is served is ready long before.
READY_LIMIT = 12.0
# Unknown fields: an older Envoy skips what it does not know, and then does something else than what was asked for.
TROUBLE = "update_rejected|init_fetch_timeout|dynamic_unknown_fields"
# What says that configuration was put to use, as against merely received.
USE_COUNTERS = (
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
    "listener_manager.listener_added",
    "listener_manager.listener_modified",
    "listener_manager.listener_removed",
    "listener_manager.listener_in_place_updated",
)
USE_ENDINGS = (".config_reload", ".ssl_context_update_by_sds", ".membership_change")


@dataclass(frozen=True)
class EnvoyVariant:
    wire: Variant
    reconnect: bool

    def __str__(self) -> str:
        return f"{self.wire}, {'reconnect' if self.reconnect else 'fresh'}"


VARIANTS = [EnvoyVariant(wire, reconnect) for wire in ALL for reconnect in (False, True)]


class Envoy:
    def __init__(self, binary: Path, config: dict[str, Any], admin_port: int) -> None:
        self._admin = f"http://127.0.0.1:{admin_port}"
        self._place = tempfile.TemporaryDirectory(prefix="isthmus-judge-envoy-")
        place = Path(self._place.name)
        (place / "envoy.json").write_text(json.dumps(config))
        self._log = place / "log"
        command = [str(binary), "-c", str(place / "envoy.json"), "--disable-hot-restart", "--concurrency", "1"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-l", "warning"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._place.cleanup()

    def get(self, path: str) -> str | None:
        if self._process.poll() is not None:
            raise Failure(f"Envoy ended with {self._process.returncode}: {self.log_tail()}")
        return http_get(self._admin + path)

    def log_tail(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])

    def stats(self, pattern: str) -> dict[str, int]:
        out: dict[str, int] = {}
        for line in (self.get(f"/stats?filter={pattern}") or "").splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdigit():
                out[name] = int(value)
        return out

    def dump(self, resource: str) -> list[dict[str, Any]]:
        """One list of `/config_dump`; empty where there is none of it."""
        text = self.get(f"/config_dump?resource={resource}")
        return json.loads(text).get("configs", []) if text else []

    def clusters(self) -> set[str]:
        return {item["cluster"]["name"] for item in self.dump("dynamic_active_clusters")}

    def listeners(self) -> set[str]:
        return {item["name"] for item in self.dump("dynamic_listeners") if "active_state" in item}

    def tables(self) -> dict[str, Any]:
        return {item["route_config"]["name"]: item["route_config"] for item in self.dump("dynamic_route_configs")}

    def warming(self) -> int:
        gauges = self.stats("warming_clusters|total_listeners_warming")
        return sum(gauges.values())

    def addresses(self, name: str) -> list[str]:
        text = self.get("/clusters?format=json")
        for item in json.loads(text or "{}").get("cluster_statuses", []):
            if item["name"] == name:
                return [host["address"]["socket_address"]["address"] for host in item.get("host_statuses", [])]
        return []

    def use(self) -> dict[str, int]:
        """Counters that move when configuration is put to use."""
        all_ = self.stats("")
        return {name: value for name, value in all_.items() if name in USE_COUNTERS or name.endswith(USE_ENDINGS)}


@dataclass
class Bed:
    case: Case
    envoy: Envoy
    web: int
    tls: int

    def in_step(self) -> bool:
        """Whether all that the world says is live, and nothing waits."""
        world, envoy = self.case.world, self.envoy
        if envoy.get("/ready") is None or envoy.warming():
            return False
        if envoy.clusters() != {cluster(name) for name in world.routes}:
            return False
        if envoy.listeners() != {listener(value.port) for value in world.listeners.values()}:
            return False
        tables = envoy.tables()
        if table(self.web) not in tables or any(
            not self._routed(tables[table(self.web)], name) for name in world.routes
        ):
            return False
        for name in world.routes:
            if envoy.addresses(cluster(name)) != world.services[name].endpoints:
                return False
        return self._shown(self.tls) == world.secrets["tls"].chain.decode().strip()

    def _routed(self, route_config: dict[str, Any], name: str) -> bool:
        wanted = self.case.world.routes[name].timeout
        for host in route_config.get("virtual_hosts", []):
            if f"{name}.example.com" in host["domains"]:
                return not wanted or all(route["route"].get("timeout") == wanted for route in host["routes"])
        return False

    def _shown(self, port: int) -> str:
        """The certificate that the listener shows, which is the one that it uses."""
        try:
            return ssl.get_server_certificate(("127.0.0.1", port), timeout=2).strip()
        except OSError:
            return ""

    def wait(self, what: str, within: float = READY_LIMIT) -> float:
        began = time.monotonic()
        until(f"{what} (Envoy says: {self.envoy.log_tail()})", self.in_step, within, pause=0.05)
        return time.monotonic() - began


def play(variant: EnvoyVariant, binary: Path, envoy_binary: Path) -> Outcome:
    began = time.monotonic()
    case = Case(binary, variant.wire)
    try:
        with case.stack:
            bed = _start(case, variant.wire, envoy_binary)
            took = bed.wait("all clusters, listeners and routes are live")
            case.note(f"live after {took:.1f} s")
            if variant.reconnect:
                _reconnect(case, bed)
            else:
                _changes(case, bed)
                _restart(case, bed)
            refused = {n: v for n, v in bed.envoy.stats(TROUBLE).items() if v}
            equal(refused, {}, f"rejections, time-outs, unknown fields; Envoy says: {bed.envoy.log_tail()}")
        outcome = Outcome(Verdict.PASS, "; ".join(case.notes))
    except Failure as reason:
        outcome = Outcome(Verdict.FAIL, str(reason), case.transcript)
    except Exception as error:  # noqa: BLE001 - a broken script is a failure of its own, not the end of the run
        outcome = Outcome(Verdict.FAIL, f"the script itself failed: {type(error).__name__}: {error}", case.transcript)
    outcome.seconds = time.monotonic() - began
    return outcome


def _start(case: Case, wire: Variant, envoy_binary: Path) -> Bed:
    web, tls, admin = (free_port() for _ in range(3))
    world = World.of("a", "b")
    world.listeners = {"web": Listener(web)}
    world.secure("tls", tls, certificates.make())
    world.add("empty")
    world.services["empty"].endpoints = []
    server = case.serve(world=world)
    translator_port = 0
    if not wire.aggregated:
        direct = json_format.ParseDict(source(wire.form), config_source_pb2.ApiConfigSource())
        translator = Translator(server.xds, wire.form, direct)
        case.stack.callback(translator.close)
        translator_port = translator.port
    config = bootstrap(wire.form, int(server.xds.rsplit(":", 1)[1]), admin, translator_port)
    envoy = Envoy(envoy_binary, config, admin)
    case.stack.callback(envoy.close)
    return Bed(case, envoy, web, tls)


def _changes(case: Case, bed: Bed) -> None:
    world = case.world
    world.change_endpoints("a")
    case.commit("endpoints of a change")
    bed.wait("the endpoints of a")
    world.change_route("a")
    case.commit("the route to a changes")
    bed.wait("the route to a")
    world.change_cluster("a")
    case.commit("cluster a itself changes")
    bed.wait("cluster a")
    world.add("c", "10.0.7.1")
    case.commit("cluster c is added")
    bed.wait("cluster c")
    world.drop("c")
    case.commit("cluster c is removed")
    bed.wait("cluster c is gone")
    world.listeners["more"] = Listener(free_port())
    case.commit("a listener is added")
    bed.wait("the new listener")
    more = world.listeners.pop("more")
    case.commit("the listener is removed")
    bed.wait("the listener is gone")
    world.listeners["more"] = more
    case.commit("the listener is added again")
    bed.wait("the listener is there again")
    world.secrets["tls"] = certificates.make()
    case.commit("the certificate is renewed")
    bed.wait("the new certificate")
    case.note("changes of endpoints, route, cluster, listener and certificate arrived")


def _restart(case: Case, bed: Bed) -> None:
    before, tables = bed.envoy.use(), bed.envoy.tables()
    check(any(before.values()), "there are counters to compare")
    _down_and_up(case, bed)
    window = time.monotonic() + 1 + QUIET
    while time.monotonic() < window:
        time.sleep(0.1)
        after = bed.envoy.use()
        changed = {name: (before.get(name), value) for name, value in after.items() if value != before.get(name)}
        equal(changed, {}, "counters that a restart of the control plane moved")
    equal(bed.envoy.tables(), tables, "route tables after the restart")
    case.note("a restart of the control plane changed nothing")


def _reconnect(case: Case, bed: Bed) -> None:
    world = case.world

    def edit() -> None:
        world.change_endpoints("a")
        world.change_route("a")
        world.add("c", "10.0.7.1")
        world.drop("b")
        world.secrets["tls"] = certificates.make()
        case.server.folder.write("world.yaml", world.text())

    _down_and_up(case, bed, edit)
    bed.wait("all that changed while the control plane was away")
    case.note("all that changed while the control plane was away arrived")
    world.change_endpoints("a")
    world.add("b")
    case.commit("endpoints of a change, b comes back")
    bed.wait("a change on the new streams")


def _down_and_up(case: Case, bed: Bed, edit: Any = None) -> None:
    case.say("# the control plane is killed and started again")
    case.server.stop(signal.SIGKILL)
    connected = "control_plane.connected_state"
    states = lambda: bed.envoy.stats(connected).values()  # noqa: E731
    until("Envoy sees that the control plane is away", lambda: not any(states()), pause=0.05)
    if edit is not None:
        edit()
    case.server.start()
    until("Envoy is connected again", lambda: all(states()) and bool(states()), within=30, pause=0.05)
