"""Scenarios 1 to 6: state of the world, everything."""

from __future__ import annotations

from case import SOTW, Case, scenario
from verdict import check, equal
from wire import CDS, LDS
from world import cluster

A, B = cluster("a"), cluster("b")


@scenario(1, [30], SOTW)
def no_clusters(t: Case) -> None:
    """no clusters / first CDS {} / one empty response, nonce set, type_url set"""
    t.serve()
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS, within=2)
    equal(first.names, [], "resources")
    check(first.nonce and first.raw.type_url == CDS.url, "nonce and type_url are set")
    c.ack(first)
    c.silent()


@scenario(2, [22, 30], SOTW)
def first_wildcard(t: Case) -> None:
    """CDS A,B / first {} / both, one response; ACK → silence"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    equal(sorted(first.names), [A, B], "resources")
    c.ack(first)
    c.silent()


@scenario(3, [22], SOTW)
def same_ack_twice(t: Case) -> None:
    """after 2 / same ACK twice / silence"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    c.ack(first)
    c.ack(first)
    c.silent()


@scenario(4, [12, 28], SOTW)
def one_changes(t: Case) -> None:
    """wildcard / A changes / response holds A and B, new version and nonce"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    c.ack(first)
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    second = c.expect(CDS)
    equal(sorted(second.names), [A, B], "resources")
    check(second.resources[A] != first.resources[A], "A is the new one")
    check(second.version != first.version, "rule 12: the version is a new one")
    check(second.nonce != first.nonce, "rule 11: the nonce is a new one")
    c.ack(second)
    t.world.change_cluster("a")
    t.commit("cluster a changes back")
    third = c.expect(CDS)
    equal(third.version, first.version, "rule 13: the same content has the same version")


@scenario(5, [28], SOTW)
def one_deleted(t: Case) -> None:
    """wildcard / B deleted / response holds only A"""
    t.serve("a", "b")
    c = t.client()
    c.ask(CDS)
    c.ack(c.expect(CDS))
    t.world.drop("b")
    t.commit("cluster b is deleted")
    equal(c.expect(CDS).names, [A], "resources")


@scenario(6, [28], SOTW)
def last_deleted(t: Case) -> None:
    """wildcard / last deleted / empty response with a new version"""
    t.serve("a")
    c = t.client()
    c.ask(CDS)
    first = c.expect(CDS)
    c.ack(first)
    t.world.drop("a")
    t.commit("the last cluster is deleted")
    second = c.expect(CDS)
    equal(second.names, [], "resources")
    check(second.version != first.version, "the version is a new one")
    c.ack(second)
    c.silent()
    listeners = t.client("judge-2", "second")
    listeners.ask(LDS)
    equal(len(listeners.expect(LDS).names), 1, "listeners, which nobody deleted")
