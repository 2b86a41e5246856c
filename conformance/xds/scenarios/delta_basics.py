"""Scenarios 23 to 30: delta, subscriptions."""

from __future__ import annotations

import certificates
from case import DELTA, Case, scenario
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS, SDS
from world import cluster, listener, secret

A, B, Z = cluster("a"), cluster("b"), cluster("z")


@scenario(23, [44, 51], DELTA)
def none(t: Case) -> None:
    """none / first CDS sub=[] / empty response at once"""
    t.serve()
    c = t.client()
    c.edit(CDS)
    first = c.expect(CDS, within=2)
    equal((first.names, first.removed), ([], []), "resources and removals")
    c.ack(first)
    c.silent()


@scenario(24, [44, 50, 54], DELTA)
def one_changes(t: Case) -> None:
    """A,B / sub=[] then A changes / only A, with name and version"""
    t.serve("a", "b")
    c = t.client()
    c.edit(CDS)
    first = c.expect(CDS)
    equal(sorted(first.names), [A, B], "resources")
    c.ack(first)
    c.silent()
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    second = c.expect(CDS)
    equal((second.names, second.removed), ([A], []), "resources and removals")
    check(second.versions[A] != first.versions[A], "the version of A is a new one")
    c.ack(second)
    t.world.change_cluster("a")
    t.commit("cluster a changes back")
    equal(c.expect(CDS).versions, {A: first.versions[A]}, "rule 13: the same content has the same version")


@scenario(25, [45], DELTA)
def subscribed_again(t: Case) -> None:
    """sub=[A] / A again / A resent"""
    t.serve("a", "b")
    for kind in (CDS, EDS):
        c = t.client(f"judge-{kind.short}", kind.short)
        c.edit(kind, [A])
        first = c.expect(kind)
        equal(first.names, [A], "resources")
        c.ack(first)
        c.edit(kind, [A])
        second = c.expect(kind, within=2)
        equal(second.versions, first.versions, "A at the same version")
        c.ack(second)
        c.silent()
    star = t.client("judge-star", "wildcard")
    star.edit(CDS, ["*"])
    star.ack(star.expect(CDS))
    star.edit(CDS, ["*"])
    equal(sorted(star.expect(CDS, within=2).names), [A, B], "`*` subscribed again")


@scenario(26, [46, 27], DELTA)
def absent_name(t: Case) -> None:
    """sub=[Z] absent / removed=[Z] at once; Z created / sent"""
    t.serve("a")
    wanted = {CDS: Z, EDS: Z, LDS: listener(8443), RDS: "https/8443/tls", SDS: secret("tls")}
    c = t.client()
    for kind, name in wanted.items():
        c.edit(kind, [name])
        first = c.expect(kind, within=2)
        equal((first.names, first.removed), ([], [name]), f"{kind.short}: resources and removals")
        c.ack(first)
    c.silent()
    t.world.add("z")
    t.world.secure("tls", 8443, certificates.make())
    t.commit("cluster z, a TLS listener and its certificate are created")
    missing = set(wanted)
    while missing:
        got = c.any(", ".join(kind.short for kind in missing), within=5)
        equal(got.names, [wanted[got.kind]], f"{got.kind.short} sent")
        c.ack(got)
        missing.discard(got.kind)


@scenario(27, [45, 48], DELTA)
def named_under_wildcard(t: Case) -> None:
    """wildcard, then sub=[A], then unsub=[A] / A sent again, or in removed if not in the wildcard"""
    t.serve("a", "b")
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(CDS, [A])
    named = c.expect(CDS, within=2)
    equal(named.names, [A], "sub=[A]")
    c.ack(named)
    c.edit(CDS, unsubscribe=[A])
    again = c.expect(CDS, within=2)
    equal((again.names, again.removed), ([A], []), "unsub=[A], which the wildcard still covers")
    c.ack(again)
    c.edit(CDS, [Z])
    missing = c.expect(CDS, within=2)
    equal((missing.names, missing.removed), ([], [Z]), "sub=[Z]")
    c.ack(missing)
    c.edit(CDS, unsubscribe=[Z])
    gone = c.expect(CDS, within=2)
    equal((gone.names, gone.removed), ([], [Z]), "unsub=[Z], which is not in the wildcard")
    c.ack(gone)
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    equal(c.expect(CDS).names, [A], "A is still followed")


@scenario(28, [44, 25], DELTA)
def wildcard_ends(t: Case) -> None:
    """wildcard, then sub=[A], unsub=[*] / only A followed; unsub=[A] / nothing; empty request / still nothing"""
    t.serve("a", "b")
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    c.edit(CDS, [A])
    c.ack(c.expect(CDS, within=2))
    c.edit(CDS, unsubscribe=["*"])
    answer = c.maybe(CDS)
    if answer is not None:
        check(not answer.names, "an answer to unsub=[*] sends nothing")
        c.ack(answer)
    t.world.change_cluster("b")
    t.commit("cluster b changes")
    c.silent()
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    second = c.expect(CDS)
    equal(second.names, [A], "resources")
    c.ack(second)
    c.edit(CDS, unsubscribe=[A])
    c.silent()
    c.edit(CDS)
    c.silent()
    t.world.change_cluster("a")
    t.world.change_cluster("b")
    t.commit("clusters a and b change")
    c.silent()


@scenario(29, [48], DELTA)
def stranger_unsubscribed(t: Case) -> None:
    """unsub of a name never subscribed / no response, stream lives"""
    t.serve("a", "b")
    c = t.client()
    c.edit(EDS, [A])
    c.ack(c.expect(EDS))
    c.edit(EDS, unsubscribe=[B, Z])
    c.silent()
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    equal(c.expect(EDS).names, [A], "resources")


@scenario(30, [52], DELTA)
def comes_back(t: Case) -> None:
    """A removed / removed=[A]; A re-created with the same content / sent"""
    t.serve("a", "b")
    c = t.client()
    c.edit(CDS)
    first = c.expect(CDS)
    c.ack(first)
    held = t.world.services["a"], t.world.routes["a"]
    t.world.drop("a")
    t.commit("cluster a is deleted")
    gone = c.expect(CDS)
    equal((gone.names, gone.removed), ([], [A]), "resources and removals")
    c.ack(gone)
    t.world.services["a"], t.world.routes["a"] = held
    t.commit("cluster a is there again, as it was")
    back = c.expect(CDS)
    equal((back.versions, back.removed), ({A: first.versions[A]}, []), "resources and removals")
    c.ack(back)
    bystander = t.client("judge-2", "other view")
    bystander.edit(EDS, [B])
    bystander.ack(bystander.expect(EDS))
    t.world.drop("a")
    t.commit("cluster a is deleted once more")
    bystander.silent()
