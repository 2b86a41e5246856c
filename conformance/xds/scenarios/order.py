"""Scenarios 44 to 49: make before break, over the types of one stream."""

from __future__ import annotations

from case import ADS, ALL, DELTA_SINGLE, SOTW_SINGLE, Case, scenario
from client import Client
from follower import Follower, clusters_of
from stream import Response
from verdict import check, equal
from wire import CDS, EDS, LDS, RDS, Form
from world import Listener, cluster, listener, table

A, X, Y = cluster("a"), cluster("x"), cluster("y")
TABLE = table(8001)


def moved(t: Case) -> tuple[Client, Follower]:
    """A client in step, and a route that has just moved from X to Y."""
    t.serve("a", "x")
    c = t.client()
    follower = Follower(c)
    follower.boot()
    equal(sorted(c.have[CDS]), [A, X], "clusters at first")
    t.world.services["y"] = t.world.services["x"]
    t.world.routes["x"].to = ["y"]
    t.commit("the route moves from x to y")
    return c, follower


def up_to_route(c: Client, follower: Follower) -> Response:
    """Plays the move until RDS has come, which stays unanswered."""
    got = follower.until(RDS)
    order = [response.kind.short for response in got]
    check(order.index("CDS") < order.index("EDS") < order.index("RDS"), f"CDS, EDS, RDS in this order: {order}")
    for response in got:
        if response.kind is CDS:
            check(X in c.have[CDS], "X is still there while routes may name it")
    check(Y in c.have[CDS] and Y in c.have[EDS], "Y and its endpoints came before the route")
    check(Y in clusters_of(got[-1].resources[TABLE]), "the route names Y")
    return got[-1]


@scenario(44, [55, 56, 58], ADS)
def route_moves(t: Case) -> None:
    """route moves X→Y / wire order CDS(X+Y), EDS(Y), RDS, [ACK], CDS(Y)"""
    c, follower = moved(t)
    route = up_to_route(c, follower)
    c.silent()
    check(X in c.have[CDS], "X stays until the route is acknowledged")
    c.ack(route)
    last = c.expect(CDS)
    if t.form is Form.SOTW:
        equal(sorted(last.names), [A, Y], "the trimmed set")
    else:
        equal((last.names, last.removed), ([], [X]), "the removal, apart from additions")
    follower.handle(last)
    follower.settle()
    equal(sorted(c.have[CDS]), [A, Y], "clusters at last")


@scenario(45, [57], ADS)
def cluster_ack_withheld(t: Case) -> None:
    """CDS ACK withheld / EDS for it still sent"""
    c, follower = moved(t)
    clusters = c.expect(CDS)
    follower.follow(clusters)
    got = c.expect(EDS, within=2)
    check(Y in got.names, "EDS of Y although the CDS ACK is outstanding")
    c.ack(got)


@scenario(46, [37, 56], ADS)
def route_refused(t: Case) -> None:
    """RDS NACKed in 44 / X not removed"""
    c, follower = moved(t)
    c.nack(up_to_route(c, follower))
    # The document of the refused route goes back to its last good form, and what belonged to its new form may go.
    for _ in range(6):
        again = c.next(0.5)
        if again is None:
            break
        follower.handle(again)
    c.silent(0.5)
    check(X in c.have[CDS], "X stays: the client goes on with the old route")
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    equal(c.expect(EDS).names, [A], "other changes go on")


@scenario(47, [55, 58], ADS)
def all_new_at_once(t: Case) -> None:
    """new listener + route + cluster in one commit / CDS, EDS, LDS, RDS on one ADS stream"""
    t.serve("a")
    c = t.client()
    follower = Follower(c)
    follower.boot()
    t.world.listeners["more"] = Listener(8002)
    t.world.add("y", listener="more")
    t.commit("a listener, a route and a cluster are added")
    got = [c.expect(CDS)]
    follower.handle(got[0])
    wanted = {EDS: Y, LDS: listener(8002), RDS: table(8002)}
    while wanted:
        response = c.any(", ".join(wanted.values()), within=5)
        got.append(response)
        follower.handle(response)
        if wanted.get(response.kind) in response.names:
            del wanted[response.kind]
    first = {kind: next(i for i, r in enumerate(got) if r.kind is kind) for kind in (CDS, EDS, LDS, RDS)}
    check(first[CDS] < first[EDS] < first[LDS] < first[RDS], f"order on the wire: {[r.kind.short for r in got]}")


@scenario(48, [33], ALL)
def no_endpoints(t: Case) -> None:
    """cluster without endpoints / empty EDS (S), CLA or removed (D); Envoy ready well under 15 s"""
    t.serve("a")
    t.world.services["a"].endpoints = []
    t.commit("a has no endpoints")
    c = t.client()
    c.want(EDS, A)
    got = c.expect(EDS, within=2)
    if t.form is Form.SOTW or got.names:
        equal(got.names, [A], "resources")
        equal(len(got.resources[A].endpoints), 0, "localities")
    else:
        equal(got.removed, [A], "removals")


@scenario(49, [60], [SOTW_SINGLE, DELTA_SINGLE])
def streams_one_by_one(t: Case) -> None:
    """per-type streams, delayed one by one / converge, no lost update"""
    t.serve("a", "x")
    c = t.client()
    follower = Follower(c)
    follower.boot()
    for number, late in enumerate((CDS, EDS, LDS, RDS)):
        c.pause(late)
        t.world.add(f"n{number}")
        t.world.change_cluster("a")
        t.world.change_endpoints("a")
        t.world.listeners[f"more{number}"] = Listener(8100 + number)
        t.commit(f"everything changes while the {late.short} stream stands still")
        follower.settle()
        t.world.change_route("x")
        t.world.change_endpoints("x")
        t.commit("routes and endpoints change once more")
        follower.settle()
        c.resume(late)
        follower.settle()
    everything = sorted([A, X, *(cluster(f"n{number}") for number in range(4))])
    equal(sorted(c.have[CDS]), everything, "clusters")
    equal(sorted(c.have[LDS]), sorted(listener(port) for port in (8001, 8100, 8101, 8102, 8103)), "listeners")
    fresh = t.client("judge-2", "fresh")
    Follower(fresh).boot()
    for kind in (CDS, EDS, LDS, RDS):
        for name, value in fresh.have[kind].items():
            check(c.have[kind].get(name) == value, f"{kind.short} {name} is the newest")
