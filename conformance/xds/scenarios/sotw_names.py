"""Scenarios 7 to 14: state of the world, names."""

from __future__ import annotations

import certificates
from case import SOTW, Case, scenario
from client import Client
from stream import Response
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS, SDS, Type
from world import Listener, World, cluster, listener, secret, table

A, B, Z = cluster("a"), cluster("b"), cluster("z")


def change(t: Case, kind: Type, name: str) -> None:
    """Changes the resource of this type that the service has."""
    if kind is CDS:
        t.world.change_cluster(name)
    else:
        t.world.change_endpoints(name)
    t.commit(f"{kind.short} of {name} changes")


def settled(c: Client, kind: Type) -> Response | None:
    """What full-state types may say to a smaller set; the others have nothing to say (rule 22)."""
    if not kind.full_state:
        c.silent()
        return None
    answer = c.maybe(kind)
    if answer is not None:
        c.ack(answer)
        c.silent()
    return answer


@scenario(7, [19, 22, 32], SOTW)
def set_shrinks(t: Case) -> None:
    """names {A,B} / then {A} / B changes → silence; A changes → push"""
    t.serve("a", "b", "c")
    for kind in (CDS, EDS):
        c = t.client(f"judge-{kind.short}", kind.short)
        c.ask(kind, [A, B])
        first = c.expect(kind)
        equal(sorted(first.names), [A, B], "resources, out of three that there are")
        c.ack(first)
        c.ask(kind, [A])
        answer = settled(c, kind)
        check(answer is None or answer.names == [A], "an answer to {A} holds A alone")
        change(t, kind, "b")
        c.silent()
        change(t, kind, "a")
        equal(c.expect(kind).names, [A], "resources")


@scenario(8, [20, 38], SOTW)
def set_grows(t: Case) -> None:
    """names {A} / {A,B} at the same version and nonce / B arrives (full set for CDS/LDS)"""
    t.serve("a", "b")
    for kind in (CDS, EDS):
        c = t.client(f"judge-{kind.short}", kind.short)
        c.ask(kind, [A])
        first = c.expect(kind)
        equal(first.names, [A], "resources")
        c.ack(first)
        c.ask(kind, [A, B])
        second = c.expect(kind, within=2)
        check(B in second.names, "B is in it")
        if kind is CDS:
            equal(sorted(second.names), [A, B], "the full set")
        c.ack(second)
        c.silent()
        both = t.client(f"judge-both-{kind.short}", f"ACK and names, {kind.short}")
        both.ask(kind, [A])
        both.ack(both.expect(kind), [A, B])
        check(B in both.expect(kind, within=2).names, "names that ride on the ACK are served")


@scenario(9, [15, 21], SOTW)
def name_comes_back(t: Case) -> None:
    """{A} → {} → {A}, version kept / A is sent again"""
    t.serve("a", "b")
    for kind in (CDS, EDS):
        c = t.client(f"judge-{kind.short}", kind.short)
        c.ask(kind, [A])
        c.ack(c.expect(kind))
        c.ask(kind, [])
        answer = settled(c, kind)
        check(answer is None or not answer.names, "an answer to {} is empty")
        c.ask(kind, [A])
        equal(c.expect(kind, within=2).names, [A], "resources")


@scenario(10, [20, 23, 25], SOTW)
def wildcard_and_names(t: Case) -> None:
    """{} → {*,A} → {A} → {} / wildcard, wildcard+A, A only, nothing"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    equal(sorted(first.names), [A, B], "{}")
    c.ack(first)
    c.ask(CDS, ["*", A])
    second = c.expect(CDS, within=2)
    equal(sorted(second.names), [A, B], "{*,A}: A is answered although sent before, and nothing is left out")
    c.ack(second)
    change(t, CDS, "b")
    third = c.expect(CDS)
    equal(sorted(third.names), [A, B], "{*,A} after a change")
    c.ack(third)
    c.ask(CDS, [A])
    settled(c, CDS)
    change(t, CDS, "b")
    c.silent()
    change(t, CDS, "a")
    fourth = c.expect(CDS)
    equal(fourth.names, [A], "{A} after a change")
    c.ack(fourth)
    c.ask(CDS, [])
    answer = settled(c, CDS)
    check(answer is None or not answer.names, "an empty list is no wildcard any more")
    change(t, CDS, "a")
    c.silent()


@scenario(11, [24], SOTW)
def first_empty_is_nothing(t: Case) -> None:
    """first EDS request is {} / nothing sent, nothing subscribed"""
    world = World.of("a")
    world.secure("tls", 8443, certificates.make())
    t.serve(world=world)
    c = t.client()
    for kind in (EDS, RDS, SDS):
        c.ask(kind, [])
    c.silent()
    t.world.change_endpoints("a")
    t.world.change_route("a")
    t.world.secrets["tls"] = certificates.make()
    t.commit("endpoints, route and certificate change")
    c.silent()
    c.ask(EDS, [A])
    equal(c.expect(EDS, within=2).names, [A], "EDS asked by name on the same stream")


@scenario(12, [23, 26], SOTW)
def empty_string_is_a_name(t: Case) -> None:
    """names {""} after {A} / A changes → silence"""
    t.serve("a", "b")
    for kind in (CDS, EDS):
        c = t.client(f"judge-{kind.short}", kind.short)
        c.ask(kind, [A])
        c.ack(c.expect(kind))
        c.ask(kind, [""])
        answer = settled(c, kind)
        check(answer is None or not answer.names, '"" is an unknown name, not the wildcard')
        change(t, kind, "a")
        c.silent()


@scenario(13, [27], SOTW)
def absent_name_is_remembered(t: Case) -> None:
    """{Z} absent / Z created / pushed with no new request"""
    t.serve("a")
    c = t.client()
    wanted = {CDS: Z, EDS: Z, LDS: listener(8443), RDS: "https/8443/tls", SDS: secret("tls")}
    for kind, name in wanted.items():
        c.ask(kind, [name])
    for answer in c.drain():
        check(answer.kind.full_state and not answer.names, f"{answer.kind.short} has nothing to send")
        c.ack(answer)
    t.world.add("z")
    t.world.secure("tls", 8443, certificates.make())
    t.commit("cluster z, a TLS listener and its certificate are created")
    missing = dict(wanted)
    while missing:
        got = c.any(", ".join(kind.short for kind in missing), within=5)
        equal(got.names, [wanted[got.kind]], f"{got.kind.short} pushed")
        c.ack(got)
        missing.pop(got.kind, None)


@scenario(14, [29], SOTW)
def only_what_changed(t: Case) -> None:
    """RDS {R1,R2} / R2 changes / R2 sent, R1 may be left out"""
    world = World(listeners={"one": Listener(8001), "two": Listener(8002)})
    world.add("a", listener="one")
    world.add("b", listener="two")
    t.serve(world=world)
    one, two = table(8001), table(8002)
    c = t.client()
    c.ask(RDS, [one, two])
    first = c.expect(RDS)
    while set(first.names) != {one, two}:
        c.ack(first)
        more = c.expect(RDS)
        first.resources.update(more.resources)
        first.nonce, first.version = more.nonce, more.version
    c.ack(first)
    t.world.change_route("b")
    t.commit("the route behind R2 changes")
    second = c.expect(RDS)
    check(two in second.names, "R2 is in it")
    check(second.resources[two] != first.resources[two], "R2 is the new one")
    check(one not in second.resources or second.resources[one] == first.resources[one], "R1, if sent, is unchanged")
