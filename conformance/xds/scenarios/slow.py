"""Scenarios 50 to 53: clients that do not read, do not answer, or are not there any more."""

from __future__ import annotations

import statistics
import time

from case import ADS, Case, scenario
from client import Client
from relay import Relay
from server import Server, until
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS
from world import Route, Service, World, cluster, table

A, B = cluster("a"), cluster("b")
# The server's own: keepalive-interval and keepalive-timeout (src/serve/server.rs), and some time to notice.
KEEPALIVE_LIMIT = 30 + 20 + 10
MIB = 1 << 20


def big_world() -> World:
    """One assignment is larger than the clients' flow control window, so that an unread response stops the stream."""
    world = World.of("b")
    world.services["a"] = Service([f"10.9.{i // 250}.{i % 250 + 1}" for i in range(600)])
    world.routes["a"] = Route(["a"])
    return world


def change_big(t: Case, number: int) -> None:
    t.world.services["a"].endpoints[0] = f"10.8.{number // 250}.{number % 250 + 1}"


def _address_of_a(c: Client) -> str:
    return c.have[EDS][A].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address


@scenario(50, [71], ADS, alone=True)
def reader_stops(t: Case) -> None:
    """client stops reading, 1,000 changes / memory bounded, on resume at most a few responses, last state right"""
    server = t.serve("a", "b")
    c = t.client(small_window=True)
    c.want(EDS, A, B)
    c.ack(c.expect(EDS))
    c.silent()
    c.pause(EDS)
    reader = t.client("judge-1", "reader")
    reader.want(EDS, A)
    reader.ack(reader.expect(EDS))
    before = server.memory()
    count, published = 1000, server.published()
    for _ in range(count):
        t.world.change_endpoints("a")
        server.folder.write("world.yaml", t.world.text())
    # The last change is published when somebody who reads has it.
    while _address_of_a(reader) != t.world.services["a"].endpoints[0]:
        reader.ack(reader.expect(EDS))
    grown = server.memory() - before
    check(grown < 16 * MIB, f"resident memory grew by {grown / MIB:.1f} MiB")
    c.resume(EDS)
    got = []
    while (response := c.maybe(EDS, within=0.5)) is not None:
        got.append(response)
        c.ack(response)
    check(1 <= len(got) <= 4, f"{len(got)} responses after {count} changes")
    equal(_address_of_a(c), t.world.services["a"].endpoints[0], "the address of A at last")
    published = server.published() - published
    t.note(f"{count} changes, {published} snapshots: {len(got)} responses on resume, memory {grown / MIB:+.1f} MiB")


@scenario(51, [71, 75], ADS, alone=True)
def stalled_neighbour(t: Case) -> None:
    """one stalled client / p99 of the others unmoved"""
    t.serve(world=big_world())
    c = t.client("judge-1", "fast")
    c.want(EDS, B)
    c.ack(c.expect(EDS))
    alone = min(_latencies(t, c) for _ in range(2))
    stalled = [t.client(f"stalled-{i}", f"stalled {i}", small_window=True) for i in range(5)]
    for client in stalled:
        client.pause(EDS)
        client.want(EDS, A, B)
    until("the stalled clients are there", lambda: t.server.streams() == 6)
    limit = max(3 * alone, alone + 0.1)
    beside = _latencies(t, c)
    # Other programs of this machine come and go; a server that waits for stalled clients does so in every round.
    for _ in range(2):
        if beside > limit:
            beside = min(beside, _latencies(t, c))
    check(beside <= limit, f"p99 {beside * 1000:.0f} ms beside five stalled clients, {alone * 1000:.0f} ms without")
    t.note(f"p99 {alone * 1000:.0f} ms without and {beside * 1000:.0f} ms beside five stalled clients")


def _latencies(t: Case, c: Client, count: int = 40) -> float:
    took = []
    for _ in range(count):
        t.world.change_endpoints("b")
        change_big(t, t.world.changes)
        text = t.world.text()
        began = time.monotonic()
        t.server.folder.write("world.yaml", text)
        got = c.expect(EDS)
        took.append(time.monotonic() - began)
        c.ack(got)
    return statistics.quantiles(took, n=100)[98]


@scenario(52, [72], ADS)
def no_ack(t: Case) -> None:
    """ACKs never come / no further push of that type until ACK or limit, other types flow"""
    t.serve("a", "b", ack_timeout="1500ms")
    c = t.client()
    for kind, names in ((CDS, []), (LDS, []), (RDS, [table(8001)])):
        c.want(kind, *names)
        c.ack(c.expect(kind))
    c.want(EDS, A, B)
    first = c.expect(EDS)
    began = time.monotonic()
    t.world.change_endpoints("a")
    t.world.change_route("a")
    t.commit("endpoints and route of a change; EDS is not acknowledged")
    c.ack(c.expect(RDS))
    c.silent()
    c.ack(first)
    second = c.expect(EDS, within=1)
    check(time.monotonic() - began < 1.5, "the push follows the ACK, not the limit")
    equal(second.names, [A], "resources")
    t.world.change_endpoints("b")
    t.commit("endpoints of b change; still no ACK")
    began = time.monotonic()
    third = c.expect(EDS, within=4)
    check(B in third.names, "after the limit the push comes all the same")
    c.ack(second)
    c.ack(third)
    c.silent()


@scenario(53, [76], ADS, long=True)
def half_open(t: Case) -> None:
    """half-open TCP / stream gone within keepalive interval + timeout"""
    server: Server = t.serve("a")
    relay = Relay(server.xds)
    t.stack.callback(relay.close)
    c = t.client(address=relay.address)
    c.want(CDS)
    c.ack(c.expect(CDS))
    equal(server.streams(), 1, "streams")
    began = time.monotonic()
    relay.freeze()
    t.say("# nothing gets through in either direction any more; the connections stay open")
    until("the stream is gone", lambda: server.streams() == 0, KEEPALIVE_LIMIT, pause=0.25)
    t.note(f"gone after {time.monotonic() - began:.0f} s")
