"""Scenarios 54 to 59: many at once, restarts, the beginning and the end."""

from __future__ import annotations

import signal
import time

import grpc

import certificates
import storm
from case import ADS, ALL, Case, scenario
from follower import Follower
from relay import Relay
from server import until
from stream import End
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS, SDS, Form
from world import World, cluster

A, B = cluster("a"), cluster("b")
KINDS = (CDS, EDS, LDS, RDS, SDS)
MIB = 1 << 20


@scenario(54, [74, 75], ADS, alone=True)
def reconnect_storm(t: Case) -> None:
    """1,000 reconnects at once / all served, admission bounded, pushes still flow"""
    count = 1000
    server = t.serve("a", "b")
    c = t.client("bystander", "bystander")
    c.want(EDS, A)
    c.ack(c.expect(EDS))
    crowd = storm.Storm(server.xds, t.form, count)
    t.stack.callback(crowd.close)
    began = time.monotonic()
    crowd.start()
    pushes = []
    while crowd.served < count:
        t.world.change_endpoints("a")
        since = time.monotonic()
        server.folder.write("world.yaml", t.world.text())
        c.ack(c.expect(EDS, within=10))
        pushes.append(time.monotonic() - since)
        check(time.monotonic() - began < 40, f"only {crowd.served} of {count} served; {crowd.trouble}")
    took = time.monotonic() - began
    equal(crowd.trouble, "", "trouble in the storm")
    check(max(pushes) < 3, f"a push to the bystander took {max(pushes):.1f} s")
    until("all streams are counted", lambda: server.streams() == count + 1)
    t.note(f"{count} streams served in {took:.1f} s; slowest push beside it {max(pushes) * 1000:.0f} ms")


@scenario(55, [73], ADS, alone=True)
def many_commits(t: Case) -> None:
    """100 commits within the debounce / one or two pushes; last one within the cap"""
    server = t.serve("a", merge_window="1s")
    c = t.client()
    c.want(EDS, A)
    c.ack(c.expect(EDS))
    began = time.monotonic()
    for _ in range(100):
        t.world.change_endpoints("a")
        server.folder.write("world.yaml", t.world.text())
    took = time.monotonic() - began
    t.say(f"# 100 commits in {took:.2f} s")
    wanted = t.world.services["a"].endpoints[0]
    pushes = 0
    while _address(c.have[EDS][A]) != wanted:
        got = c.expect(EDS)
        pushes += 1
        c.ack(got)
    late = time.monotonic() - began - took
    c.silent()
    check(pushes <= 2 + int(took), f"{pushes} pushes")
    check(late < 3, f"the last state came {late:.1f} s after the last commit")
    fresh = t.client("judge-2", "asks in between")
    t.world.change_endpoints("a")
    server.folder.write("world.yaml", t.world.text())
    c.ack(c.expect(EDS))
    since = time.monotonic()
    fresh.want(EDS, A)
    fresh.expect(EDS)
    check(time.monotonic() - since < 0.5, "a client's own question does not wait for the window")
    t.note(f"{pushes} pushes for 100 commits; the last state {late * 1000:.0f} ms after the last commit")


@scenario(56, [78], ADS)
def termination(t: Case) -> None:
    """SIGTERM with open streams / exits within the grace, clients reconnect elsewhere, nothing deleted"""
    server = t.serve("a", "b")
    other = t.make_server(folder=server.folder)
    other.start()
    c = t.client(title="on the first")
    follower = Follower(c)
    follower.boot()
    held = {kind: dict(c.have[kind]) for kind in (CDS, EDS, LDS, RDS)}
    t.say("# SIGTERM")
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    until("/readyz says no while streams still live", lambda: server.status("/readyz") == 503, within=1)
    end = c.ended()
    took = time.monotonic() - began + server.wait(within=10)
    check(end.code is not grpc.StatusCode.INTERNAL, f"the stream ends with a plain status: {end.code.name}")
    equal({kind: dict(c.have[kind]) for kind in held}, held, "what the client has")
    check(took < 5, f"the process took {took:.1f} s, the grace time is 5 s")
    again = t.client(title="on the second", server=other)
    if t.form is Form.DELTA:
        again.edit(CDS, initial=c.have_versions[CDS])
        first = again.expect(CDS)
        equal((first.names, first.removed), ([], []), "what the other replica sends: it has the same versions")
    else:
        again.ask(CDS, version=c.accepted[CDS])
        equal(again.expect(CDS).version, c.accepted[CDS], "the version of the other replica")
    t.note(f"gone after {took:.1f} s")


@scenario(57, [13, 47], ADS)
def restart(t: Case) -> None:
    """restart, same config / no change on any client (versions equal)"""
    world = World.of("a", "b")
    world.secure("tls", 8443, certificates.make())
    server = t.serve(world=world)
    c = t.client(title="before")
    Follower(c).boot()
    equal(sorted(kind.short for kind in c.have), sorted(kind.short for kind in KINDS), "types")
    versions = {kind: c.streams[0].last[kind].version for kind in KINDS}
    server.stop(signal.SIGKILL)
    t.say("# killed and started again")
    server.start()
    new = t.client(title="after")
    if t.form is Form.SOTW:
        Follower(new).boot()
        equal({kind: new.streams[0].last[kind].version for kind in KINDS}, versions, "versions")
        for kind in KINDS:
            equal(new.have[kind], c.have[kind], f"{kind.short} content")
        return
    for kind in KINDS:
        names = () if kind.full_state else sorted(c.have[kind])
        new.edit(kind, names, initial=c.have_versions[kind])
    sent = [(r.kind.short, r.names, r.removed) for r in new.drain() if r.names or r.removed]
    # Assignments may be repeated after CDS (rule 49); nothing else is owed.
    equal([item for item in sent if item[0] != "EDS"], [], "what is sent to a client that is current")
    fresh = t.client("judge-2", "fresh")
    Follower(fresh).boot()
    for kind in KINDS:
        equal(fresh.have_versions[kind], c.have_versions[kind], f"{kind.short} versions")


@scenario(58, [79], ALL)
def nothing_known_yet(t: Case) -> None:
    """replica with no config yet / not ready, no empty CDS"""
    server = t.make_server()
    server.start(ready=False)
    check(not server.ready(), "/readyz says no")
    c = t.client()
    c.want(CDS)
    c.silent(1.0)
    t.world = World.of("a")
    t.commit("the first configuration appears")
    equal(c.expect(CDS).names, [A], "clusters")
    until("/readyz says yes", server.ready)


@scenario(59, [8], ADS)
def ends(t: Case) -> None:
    """half-close, reset, connection drop / watches and tasks return to zero"""
    server = t.serve("a", "b")
    relay = Relay(server.xds)
    t.stack.callback(relay.close)
    threads, sockets = server.threads(), server.sockets()
    for round_ in range(20):
        clients = [t.client(f"judge-{n}", f"{round_}.{n}", address=relay.address) for n in range(3)]
        brief = t.client("judge-3", f"{round_}.3", deadline=0.2)
        brief.want(CDS)
        for client in clients:
            client.want(CDS)
            client.ack(client.expect(CDS))
            client.want(EDS, A)
            client.expect(EDS)
        clients[0].half_close()
        end = clients[0].ended(within=3)
        equal(end.code, grpc.StatusCode.OK, "status after the half-close")
        clients[1].reset()
        equal(brief.ended(within=3).code, grpc.StatusCode.DEADLINE_EXCEEDED, "status after the deadline")
        until("one stream is left", lambda: server.streams() == 1)
        relay.drop()
        check(isinstance(clients[2].ended(within=5), End), "the cut is seen")
        until("no stream is left", lambda: server.streams() == 0)
        for client in (*clients, brief):
            client.close()
    equal(server.proxies(), [], "proxies")
    until("sockets are given back", lambda: server.sockets() <= sockets + 1)
    check(server.threads() <= threads + 2, f"{server.threads()} threads, {threads} before")


def _address(assignment: object) -> str:
    return assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address  # type: ignore[attr-defined]
