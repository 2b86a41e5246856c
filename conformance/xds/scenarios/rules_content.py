"""Further checks: nonces, refusals and what is sent again."""

from __future__ import annotations

import json

from case import ADS, ALL, DELTA, SOTW, SOTW_ADS, Case, rule
from server import until
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS
from world import cluster, table

A, B, C = cluster("a"), cluster("b"), cluster("c")


@rule(14, DELTA)
def nonce_of_another_stream(t: Case) -> None:
    """delta: a first request with a nonce from another stream is a subscription"""
    t.serve("a")
    c = t.client()
    c.edit(CDS, nonce="from-another-stream")
    first = c.expect(CDS, within=2)
    equal(first.names, [A], "CDS")
    c.ack(first)
    c.edit(EDS, [A], nonce=first.nonce)
    equal(c.expect(EDS, within=2).names, [A], "EDS, asked with the nonce of another type")


@rule(16, SOTW)
def before_the_first_answer(t: Case) -> None:
    """two requests with an empty nonce, the second before the first answer was seen: no name is lost"""
    t.serve("a", "b")
    c = t.client()
    c.ask(EDS, [A], version="1", nonce="")
    c.ask(EDS, [A, B], version="1", nonce="")
    while set(c.have.get(EDS, {})) != {A, B}:
        c.ack(c.expect(EDS, within=2), [A, B])
    c.silent()


@rule(28, SOTW, also=[36])
def nothing_lost_by_a_refusal(t: Case) -> None:
    """SotW: a change of A is refused, then B changes: A is not left out, which would delete it"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    c.ack(first)
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    c.nack(c.expect(CDS))
    c.silent()
    t.world.change_cluster("b")
    t.commit("cluster b changes")
    second = c.expect(CDS)
    equal(sorted(second.names), [A, B], "resources")
    check(second.resources[B] != first.resources[B], "B is the new one")
    c.ack(second)
    c.silent()


@rule(34, ADS, also=[12])
def same_content(t: Case) -> None:
    """documents in another order, with comments, or written again: nothing is pushed"""
    server = t.serve("a", "b")
    c = t.client()
    for kind, names in ((CDS, []), (EDS, [A, B]), (LDS, []), (RDS, [table(8001)])):
        c.want(kind, *names)
        c.ack(c.expect(kind))
    for answer in c.drain():
        c.ack(answer)
    reads = server.metric("isthmus_source_reads_total")
    lines = [line for line in t.world.text().splitlines() if line != "---"]
    text = "".join(f"---\n# in another order\n{json.dumps(_turned(json.loads(line)))}\n" for line in reversed(lines))
    t.say("# the same documents in another order")
    server.folder.write("world.yaml", text)
    until("the file is read", lambda: server.metric("isthmus_source_reads_total") > reads)
    c.silent(0.5)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    equal(c.expect(EDS).names, [A], "resources")


def _turned(value: object) -> object:
    """The same mapping, its keys the other way round; lists have a meaning and stay."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(item) for item in value] if isinstance(value, list) else value


@rule(39, ALL, also=[43])
def back_to_the_old(t: Case) -> None:
    """v2 refused, then v1 is wanted again: v1 is sent, since the client may have v2 all the same"""
    t.serve("a", "b")
    c = t.client()
    c.want(EDS, A, B)
    v1 = c.expect(EDS)
    c.ack(v1)
    old = list(t.world.services["a"].endpoints)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change: v2")
    c.nack(c.expect(EDS))
    t.world.services["a"].endpoints = old
    t.commit("endpoints of a are what they were: v1")
    again = c.expect(EDS, within=3)
    equal(again.resources.get(A), v1.resources[A], "A")


@rule(43, DELTA)
def refused_together(t: Case) -> None:
    """delta: A and C are refused together; the next change of C brings both again, apart from what was not refused"""
    t.serve("a", "b", "c")
    c = t.client()
    c.edit(EDS, [A, B, C])
    c.ack(c.expect(EDS))
    t.world.change_endpoints("a")
    t.world.change_endpoints("c")
    t.commit("endpoints of a and c change")
    refused = c.expect(EDS)
    equal(sorted(refused.names), [A, C], "the response that is refused")
    c.nack(refused)
    c.silent()
    t.world.change_endpoints("b")
    t.world.change_endpoints("c")
    t.commit("endpoints of b and c change")
    got = []
    for _ in range(2):
        got.append(c.expect(EDS))
        c.ack(got[-1])
    equal(sorted(sorted(response.names) for response in got), [[A, C], [B]], "resources of two responses")
    again = next(response for response in got if A in response.names)
    equal(again.versions[A], refused.versions[A], "A, which did not change since")
    c.silent()


@rule(41, [SOTW_ADS])
def odd_acks(t: Case) -> None:
    """new nonce, old version and no error, or no answer at all: Envoy's ways to answer what it does not watch"""
    t.serve("a", "b", ack_timeout="700ms")
    c = t.client()
    c.ask(EDS, [A])
    first = c.expect(EDS)
    c.ack(first)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    second = c.expect(EDS)
    c.ask(EDS, [A], version=first.version, nonce=second.nonce)
    c.silent()
    t.world.change_endpoints("a")
    t.commit("endpoints of a change; the next is not answered")
    c.expect(EDS, within=0.5)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    c.expect(EDS, within=3)
