"""Scenarios 39 to 43: a refusal costs only what was refused."""

from __future__ import annotations

import time

from case import ADS, ALL, SOTW, Case, scenario
from client import Client
from server import until
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS, Form
from world import Listener, cluster, table

A, B = cluster("a"), cluster("b")


@scenario(39, [37], ALL)
def other_clients(t: Case) -> None:
    """client 1 NACKs CDS / client 2 gets the same and later CDS"""
    t.serve("a", "b")
    one, two = t.client("judge-1", "one"), t.client("judge-2", "two")
    one.want(CDS)
    one.nack(one.expect(CDS))
    two.want(CDS)
    first = two.expect(CDS)
    equal(sorted(first.names), [A, B], "what two gets, refused by one")
    two.ack(first)
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    second = two.expect(CDS)
    check(A in second.names, "two gets the later one")
    two.ack(second)


@scenario(40, [37], ADS)
def other_types(t: Case) -> None:
    """CDS NACKed / EDS, LDS, RDS of the same stream still pushed"""
    t.serve("a", "b")
    c = t.client()
    c.want(CDS)
    c.nack(c.expect(CDS))
    for kind, names in ((EDS, [A, B]), (LDS, []), (RDS, [table(8001)])):
        c.want(kind, *names)
        c.ack(c.expect(kind))
    t.world.change_endpoints("a")
    t.world.change_route("a")
    t.world.listeners["more"] = Listener(8002)
    t.commit("endpoints and route of a change, a listener is added")
    missing = {EDS, LDS, RDS}
    while missing:
        got = c.any(", ".join(kind.short for kind in missing), within=5)
        check(got.kind is not CDS, "the refused CDS does not come again")
        c.ack(got)
        missing.discard(got.kind)


@scenario(41, [35], SOTW)
def error_detail_decides(t: Case) -> None:
    """NACK with an unchanged version_info but error_detail / counted as NACK"""
    server = t.serve("a")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    before = server.metric("isthmus_xds_nacks_total")
    c.ask(CDS, version=first.version, nonce=first.nonce, error="refused at the very version")
    until("the NACK is counted", lambda: server.metric("isthmus_xds_nacks_total") == before + 1)
    c.silent()
    c.close()
    accepted = t.client("judge-2", "old version, no error")
    accepted.ask(CDS)
    first = accepted.expect(CDS)
    before = server.metric("isthmus_xds_nacks_total")
    accepted.ask(CDS, version="an older one", nonce=first.nonce)
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    equal(accepted.expect(CDS).names, [A], "the next push, let through by what was an ACK")
    equal(server.metric("isthmus_xds_nacks_total"), before, "NACKs counted")


@scenario(42, [38], ALL)
def names_on_a_nack(t: Case) -> None:
    """NACK that changes names / new names served"""
    t.serve("a", "b")
    c = t.client()
    c.want(EDS, A)
    first = c.expect(EDS)
    if t.form is Form.SOTW:
        c.nack(first, names=[A, B])
    else:
        c.edit(EDS, [B], nonce=first.nonce, error="refused by the script")
    second = c.expect(EDS, within=2)
    check(B in second.names, "B is served")
    c.ack(second)


@scenario(43, [36, 42], ADS, alone=True)
def endless_refusal(t: Case) -> None:
    """endless NACK client / bounded sends, no CPU loop, metric and text visible"""
    server = t.serve("a", "b")
    c = t.client("refuser", "refuser")
    c.want(CDS)
    changes = 5
    sent = _refuse_all(c)
    for number in range(changes):
        t.world.change_endpoints("a")
        t.world.services["a"].http2 = number % 2 == 0
        t.commit(f"cluster a changes, {number + 1} of {changes}")
        sent += _refuse_all(c)
    check(sent <= changes + 1, f"{sent} responses for {changes} changes and one request")
    cpu = server.cpu_seconds()
    began = time.monotonic()
    c.silent(1.0)
    used = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
    check(used < 0.2, f"the idle server uses {used:.0%} of a core")
    check(server.metric("isthmus_xds_nacks_total") >= sent, "the metric counts them")
    row = next((row for row in server.proxies() if row["id"] == "refuser"), {})
    shown = [kind.get("nack", {}).get("text") for kind in row.get("types", []) if kind["type"] == "CDS"]
    equal(shown, ["not with me"], "the text in /api/v1/proxies")
    t.note(f"{sent} responses for {changes} changes; {used:.1%} of a core when idle")


def _refuse_all(c: Client) -> int:
    count = 0
    while (got := c.maybe(CDS)) is not None:
        c.nack(got, "not with me")
        count += 1
        check(count < 20, "rule 36: the same content is sent over and over")
    return count
