"""Further checks: what follows what, what stays, and what a restart shows."""

from __future__ import annotations

import signal

import certificates
from case import ADS, DELTA_ADS, SOTW_ADS, Case, rule
from follower import Follower
from verdict import check, equal
from wire import CDS, EDS, LDS, SDS
from world import Listener, World, cluster, listener, secret

A, B, Y = cluster("a"), cluster("b"), cluster("y")


@rule(49, [DELTA_ADS])
def assignment_after_cluster(t: Case) -> None:
    """delta: after a change of a cluster its assignment comes unasked, unchanged or not; also a new stream's first"""
    t.serve("a", "b")
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(EDS, [A, B])
    c.ack(c.expect(EDS))
    for answer in c.drain():
        c.ack(answer)
    t.world.change_cluster("a")
    t.commit("cluster a changes, its endpoints do not")
    c.ack(c.expect(CDS))
    equal(c.expect(EDS, within=2).names, [A], "EDS")
    held = {kind: dict(c.have_versions[kind]) for kind in (CDS, EDS)}
    c.close()
    t.world.change_cluster("b")
    t.commit("cluster b changes; nobody is connected")
    new = t.client(title="new stream")
    new.edit(CDS, initial=held[CDS])
    equal(new.expect(CDS).names, [B], "CDS")
    new.edit(EDS, [A, B], initial=held[EDS])
    check(B in new.expect(EDS, within=2).names, "EDS of the changed cluster, although the client says that it has it")


@rule(49, [SOTW_ADS])
def look_alike_ack(t: Case) -> None:
    """SotW: CDS on a stream of its own, EDS aggregated (the clusters say `ads`): the look-alike ACK is answered"""
    t.serve("a", "b")
    clusters, assignments = t.client(title="CDS alone"), t.client(title="EDS on ADS")
    clusters.aggregated = False
    clusters.ask(CDS)
    clusters.ack(clusters.expect(CDS))
    assignments.ask(EDS, [A, B])
    first = assignments.expect(EDS)
    assignments.ack(first)
    t.world.change_cluster("a")
    t.commit("cluster a changes, its endpoints do not")
    clusters.ack(clusters.expect(CDS))
    # As Envoy does for the new, warming cluster; without an answer it warms for 15 s.
    assignments.ack(first)
    check(A in assignments.expect(EDS, within=2).names, "the assignment of A is sent again")


@rule(56, ADS)
def all_gone_at_once(t: Case) -> None:
    """listener, route and cluster deleted in one commit: LDS first, the cluster after its ACK"""
    world = World(listeners={"web": Listener(8001), "more": Listener(8002)})
    world.add("a", listener="web")
    world.add("y", listener="more")
    t.serve(world=world)
    c = t.client()
    follower = Follower(c)
    follower.boot()
    equal(sorted(c.have[CDS]), [A, Y], "clusters at first")
    t.world.drop("y")
    del t.world.listeners["more"]
    t.commit("the listener, its route and its cluster are deleted")
    got = follower.until(LDS)
    check(Y in c.have[CDS], f"the cluster stays until LDS is acknowledged: {[r.kind.short for r in got]}")
    check(listener(8002) not in c.have[LDS], "the listener is gone")
    c.silent()
    follower.handle(got[-1])
    follower.settle(1.0)
    equal(sorted(c.have[CDS]), [A], "clusters at last")


@rule(59, [DELTA_ADS])
def no_harmful_removals(t: Case) -> None:
    """delta: assignments and secrets are not removed just because their parent went"""
    world = World.of("a", "b")
    world.secure("tls", 8443, certificates.make())
    t.serve(world=world)
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(EDS, [A, B])
    c.edit(SDS, [secret("tls")])
    for answer in c.drain():
        c.ack(answer)
    t.world.drop("a")
    del t.world.listeners["tls"]
    t.commit("cluster a and the TLS listener are deleted; the client stays subscribed to what they named")
    for answer in c.drain():
        check(answer.kind is CDS or not answer.removed, f"{answer.kind.short} removed={answer.removed}")
        c.ack(answer)
    check(A not in c.have[CDS], "the cluster is gone")


@rule(79, ADS, also=[13])
def no_step_back(t: Case) -> None:
    """killed right after a change and started again: no client is ever shown the state before the change"""
    server = t.serve("a", "b", "c")
    c = t.client(title="before")
    c.want(CDS)
    c.ack(c.expect(CDS))
    # More than once, so that not all of it can be on disk when the end comes.
    for name in "abc":
        t.world.change_cluster(name)
        t.commit(f"cluster {name} changes")
        c.ack(c.expect(CDS))
    held = dict(c.have[CDS])
    # Connects the moment the port is open again, as a crowd of proxies does.
    server.stop(signal.SIGKILL)
    t.say("# killed at once and started again")
    eager = [t.client(f"eager-{number}", f"eager {number}", eager=True) for number in range(20)]
    for client in eager:
        client.want(CDS)
    server.start()
    for client in eager:
        first = client.expect(CDS)
        client.ack(first)
        equal(
            _differing(first.resources, held),
            [],
            f"{client.title}: clusters that its first response shows as they were",
        )


def _differing(got: dict[str, object], wanted: dict[str, object]) -> list[str]:
    return sorted(name for name in wanted if got.get(name) != wanted[name])
