"""Scenarios 15 to 22: state of the world, nonces, streams and what hangs together."""

from __future__ import annotations

from case import SOTW, SOTW_ADS, Case, scenario
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS
from world import cluster, listener, table

A, B = cluster("a"), cluster("b")


@scenario(15, [16], SOTW)
def stale_nonce(t: Case) -> None:
    """response n1 unacked / server pushes n2, then a request with n1 and new names / no answer to it; names served
    after the n2 ACK"""
    t.serve("a", "b", ack_timeout="600ms")
    c = t.client()
    c.ask(EDS, [A])
    n1 = c.expect(EDS)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change; n1 stays unanswered until its limit")
    n2 = c.expect(EDS, within=3)
    check(n2.nonce != n1.nonce, "n2 has a nonce of its own")
    c.ask(EDS, [A, B], version=n1.version, nonce=n1.nonce)
    c.silent(0.25)
    c.ack(n2, [A, B])
    check(B in c.expect(EDS, within=2).names, "B is served after the ACK of n2")
    free = t.client("judge-2", "nothing outstanding")
    free.ask(EDS, [A])
    free.ack(free.expect(EDS))
    free.ask(EDS, [A, B], nonce="stale")
    check(B in free.expect(EDS, within=2).names, "with nothing outstanding, stale names are served at once")


@scenario(16, [14, 18], SOTW)
def old_nonce_on_new_stream(t: Case) -> None:
    """first request on a new stream with an old nonce and version / full answer"""
    t.serve("a", "b")
    old = t.client(title="old stream")
    old.ask(CDS)
    clusters = old.expect(CDS)
    old.ack(clusters)
    old.ask(EDS, [A, B])
    assignments = old.expect(EDS)
    old.ack(assignments)
    old.close()
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    new = t.client(title="new stream")
    new.ask(CDS, version=clusters.version, nonce=clusters.nonce)
    equal(sorted(new.expect(CDS).names), [A, B], "CDS at an old version")
    new.ask(EDS, [A, B], version=assignments.version, nonce=assignments.nonce)
    equal(sorted(new.expect(EDS).names), [A, B], "EDS by name, although the version is current")


@scenario(17, [15], SOTW)
def asked_again_with_last_nonce(t: Case) -> None:
    """type fully unsubscribed, later asked with the last nonce / answered"""
    t.serve("a", "b")
    for kind in (CDS, EDS):
        c = t.client(f"judge-{kind.short}", kind.short)
        c.ask(kind, [A])
        first = c.expect(kind)
        c.ack(first)
        c.ask(kind, [])
        last = c.maybe(kind) or first
        if last is not first:
            c.ack(last)
        c.ask(kind, [B], version=last.version, nonce=last.nonce)
        second = c.expect(kind, within=2)
        equal(second.names, [B], "resources")
        c.ack(second)
        t.world.change_cluster("b")
        t.world.change_endpoints("b")
        t.commit("b changes")
        equal(c.expect(kind).names, [B], "later changes arrive: the ACK was understood")


@scenario(18, [49], [SOTW_ADS])
def assignment_again_after_cluster(t: Case) -> None:
    """EDS answered / CDS changes that cluster, client repeats its EDS ACK / EDS sent again"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    clusters = c.expect(CDS)
    c.ask(EDS, [A, B])
    assignments = c.expect(EDS)
    c.ack(assignments)
    c.ack(clusters)
    t.world.change_cluster("a")
    t.commit("cluster a changes, its endpoints do not")
    clusters = c.expect(CDS)
    # As Envoy does while the changed cluster is warming: the same names, version and nonce once more.
    c.ack(assignments)
    answers = [c.expect(EDS, within=2)]
    while (more := c.maybe(EDS)) is not None:
        answers.append(more)
        check(len(answers) <= 3, "rule 22: no endless answers")
        c.ack(more)
    check(any(A in answer.names for answer in answers), "the assignment of A is sent again")
    c.ack(answers[-1])
    c.ack(clusters)
    c.silent()


@scenario(19, [21, 49], [SOTW_ADS])
def cluster_comes_back(t: Case) -> None:
    """cluster removed, re-added, EDS asked at the old version / EDS sent"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    clusters = c.expect(CDS)
    c.ask(EDS, [A, B])
    assignments = c.expect(EDS)
    c.ack(assignments)
    c.ack(clusters)
    held = t.world.services["a"], t.world.routes["a"]
    t.world.drop("a")
    t.commit("cluster a is deleted")
    clusters = c.expect(CDS)
    c.ask(EDS, [B])
    c.ack(clusters)
    for late in c.drain():
        check(late.kind is EDS and A not in late.names, "nothing about A comes while it is gone")
        c.ack(late)
        assignments = late
    t.world.services["a"], t.world.routes["a"] = held
    t.commit("cluster a is there again, as it was")
    clusters = c.expect(CDS)
    check(A in clusters.names, "A is in CDS again")
    c.ask(EDS, [A, B], version=assignments.version, nonce=assignments.nonce)
    check(A in c.expect(EDS, within=2).names, "the assignment of A is sent")


@scenario(20, [2], SOTW)
def one_node_two_streams(t: Case) -> None:
    """two clients, one node id, different names / each gets its own set"""
    t.serve("a", "b")
    one, two = t.client("same", "one"), t.client("same", "two")
    one.ask(EDS, [A])
    two.ask(EDS, [B])
    first, second = one.expect(EDS), two.expect(EDS)
    equal((first.names, second.names), ([A], [B]), "resources of each")
    one.ack(first)
    two.ack(second)
    one.silent()
    two.silent()
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    equal(one.expect(EDS).names, [A], "resources of one")
    two.silent()
    one.close()
    t.world.change_endpoints("b")
    t.commit("endpoints of b change; one is gone")
    equal(two.expect(EDS).names, [B], "resources of two")


@scenario(21, [3], [SOTW_ADS])
def node_only_once(t: Case) -> None:
    """node only in the first request / second type served for the same node"""
    t.serve("a")
    c = t.client()
    c.ask(CDS)
    c.ack(c.expect(CDS))
    c.ask(LDS)
    equal(c.expect(LDS).names, [listener(8001)], "LDS asked without a node")


@scenario(22, [3, 32], [SOTW_ADS])
def assignments_first(t: Case) -> None:
    """first type on ADS is EDS / served"""
    t.serve("a", "b")
    c = t.client()
    c.ask(EDS, [A])
    equal(c.expect(EDS).names, [A], "resources")
    routes = t.client("judge-2", "RDS first")
    routes.ask(RDS, [table(8001)])
    equal(routes.expect(RDS).names, [table(8001)], "resources")
