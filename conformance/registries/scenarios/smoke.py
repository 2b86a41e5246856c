"""The bed itself: each server starts, keeps or loses its data, freezes, and takes registrations."""

from __future__ import annotations

import json

from bed import HOST, Http, until
from case import ALL, Case, guarded, instances, scenario
from nacos import NacosConnection


@scenario("smoke", *ALL, program=False)
def smoke(case: Case) -> None:
    """The bed alone: start, register 20, deregister 10, freeze, kill -9, restart; the registrations come back."""
    server = case.server()
    registrar = case.registrar(server)
    all_ = instances("smoke", 20, metadata={"zone": "z1"})
    registrar.register(*all_)
    until("20 are there", lambda: _count(case, server) == 20, 20, 0.1)
    registrar.deregister(*all_[:10])
    until("10 are there", lambda: _count(case, server) == 10, 20, 0.1)
    case.figure("RSS, MB", server.memory() // 2**20)
    server.freeze()
    until("a frozen server answers nothing", lambda: not server.ready(), 30)
    server.thaw()
    until("it answers again", server.ready, 20, 0.1)
    server.kill()
    case.check(not server.ready(), "a killed server answers nothing")
    server.restart(keep_data=False)
    case.figure("restart, s", server.started_in)
    until("the applications are back", lambda: _count(case, server) == 10, 60, 0.2)


@scenario("smoke-grpc", "nacos3", "nacos2", program=False)
def smoke_grpc(case: Case) -> None:
    """The bed alone: 30 instances by one gRPC connection, gone when it breaks."""
    server = case.server()
    connection = NacosConnection(server.port)
    connection.register(*instances("smoke", 30))
    until("30 are there", lambda: _count(case, server) == 30, 20, 0.1)
    connection.drop()
    until("none is there", lambda: _count(case, server) == 0, 20, 0.1)


@scenario("smoke-login", *ALL, program=False)
def smoke_login(case: Case) -> None:
    """The bed alone: a server that wants a password or a token refuses what has none, and takes what has it."""
    server, right = guarded(case)
    case.registrar(server).register(*instances("smoke", 2))
    case.check(right not in server.log_tail(200), "the bed's own server logs the secret")
    port, paths = server.port, {"Nacos": "/nacos/v1/ns/instance/list?serviceName=smoke", "Eureka": "/eureka/apps"}
    if case.kind.type in paths:
        status, _ = Http(HOST, port).call("GET", paths[case.kind.type])
        case.check(status in (401, 403), f"without a password the answer is {status}")


def _count(case: Case, server) -> int:  # noqa: ANN001
    if case.kind.type == "ZooKeeper":
        return max(0, server.four_letters("dump").count("/services/smoke/"))
    paths = {
        "Nacos": "/nacos/v1/ns/instance/list?serviceName=smoke",
        "Consul": "/v1/health/service/smoke",
        "Eureka": "/eureka/apps/SMOKE",
    }
    server.http.headers["Accept"] = "application/json"
    status, body = server.http.call("GET", paths[case.kind.type])
    if status != 200:
        return 0
    said = json.loads(body)
    if case.kind.type == "Nacos":
        return len(said["hosts"])
    return len(said) if case.kind.type == "Consul" else len(said["application"]["instance"])
