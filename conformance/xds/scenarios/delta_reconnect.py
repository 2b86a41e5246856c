"""Scenarios 31 to 38: delta, reconnects, nonces and large sets."""

from __future__ import annotations

from case import DELTA, DELTA_ADS, Case, scenario
from client import Client
from server import until
from stream import Response
from verdict import check, equal
from wire import CDS, EDS, Type
from world import Route, Service, World, cluster

A, B, C, X, Y = (cluster(name) for name in "abcxy")
# Below the 4 MiB that gRPC clients take (rule 80).
LARGEST = 4 << 20


def hold(c: Client, kind: Type, *names: str) -> dict[str, str]:
    """Subscribes, acknowledges, and returns the versions that the client then has."""
    c.edit(kind, names)
    c.ack(c.expect(kind))
    return dict(c.have_versions[kind])


@scenario(31, [47], DELTA)
def some_are_old(t: Case) -> None:
    """reconnect, init {A:cur,B:old,C:gone}, sub=[] / B sent, C removed, A not"""
    t.serve("a", "b", "c")
    old = t.client(title="old stream")
    held = hold(old, CDS)
    assignments = hold(old, EDS, A, B, C)
    old.close()
    t.world.change_cluster("b")
    t.world.change_endpoints("b")
    t.world.drop("c")
    t.commit("cluster b and its endpoints change, c is deleted; nobody is connected")
    new = t.client(title="new stream")
    new.edit(CDS, initial=held)
    first = new.expect(CDS)
    equal((first.names, first.removed), ([B], [C]), "resources and removals")
    new.ack(first)
    new.silent()
    t.world.drop("a")
    t.commit("cluster a is deleted")
    equal(new.expect(CDS).removed, [A], "A, never sent on this stream, counts as held")
    named = t.client("judge-2", "names")
    named.edit(EDS, [B, C], initial={name: assignments[name] for name in (B, C)})
    first = named.expect(EDS)
    equal((first.names, first.removed), ([B], [C]), "EDS by name: resources and removals")


@scenario(32, [47, 51], DELTA)
def all_current(t: Case) -> None:
    """reconnect, init all current, wildcard / no resources resent, still one (empty) response"""
    t.serve("a", "b")
    old = t.client(title="old stream")
    held = hold(old, CDS)
    old.close()
    for title, names in (("empty list", ()), ("star", ("*",))):
        new = t.client(title=title)
        new.edit(CDS, names, initial=held)
        first = new.expect(CDS, within=2)
        equal((first.names, first.removed), ([], []), f"{title}: resources and removals")
        new.ack(first)
        new.silent()


@scenario(33, [47, 53], DELTA)
def star_and_names(t: Case) -> None:
    """reconnect, sub=[*,X,Y], init {Y:cur} (Envoy after ODCDS) / wildcard + X answered + Y"""
    t.serve("a", "y")
    old = t.client(title="old stream")
    held = hold(old, CDS, Y)
    old.close()
    new = t.client(title="new stream")
    new.edit(CDS, ["*", X, Y], initial=held)
    sent: list[str] = []
    removed: list[str] = []
    answer: Response | None = new.expect(CDS)
    while answer is not None:
        new.ack(answer)
        sent += answer.names
        removed += answer.removed
        answer = new.maybe(CDS)
    check(A in sent, "the wildcard is served")
    equal(removed, [X], "X does not exist and is answered; Y is sent, or left out as current (rule 47)")
    t.world.change_cluster("y")
    t.commit("cluster y changes")
    equal(new.expect(CDS).names, [Y], "Y is followed")


@scenario(34, [17], DELTA)
def stale_nonce(t: Case) -> None:
    """stale nonce with sub=[B] / B sent"""
    t.serve("a", "b", "c")
    c = t.client()
    c.edit(EDS, [A])
    first = c.expect(EDS)
    c.ack(first)
    c.edit(EDS, [B], nonce="stale")
    second = c.expect(EDS, within=2)
    equal(second.names, [B], "resources")
    c.ack(second)
    c.edit(EDS, [C], unsubscribe=[A], nonce=first.nonce)
    third = c.expect(EDS, within=2)
    equal(third.names, [C], "resources, asked with the nonce of an older response")
    c.ack(third)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change, which was unsubscribed with a stale nonce")
    c.silent()


@scenario(35, [17, 38], DELTA)
def ack_that_subscribes(t: Case) -> None:
    """ACK that also subscribes / both take effect"""
    t.serve("a", "b")
    c = t.client()
    c.edit(EDS, [A])
    c.ack(c.expect(EDS), [B])
    second = c.expect(EDS, within=2)
    equal(second.names, [B], "resources: the ACK let it through, the subscription asked for it")
    c.ack(second)
    t.world.change_endpoints("a")
    t.world.change_endpoints("b")
    t.commit("endpoints of a and b change")
    equal(sorted(c.expect(EDS).names), [A, B], "resources")


@scenario(36, [36, 43, 47], DELTA)
def rejected_is_not_held(t: Case) -> None:
    """NACK of v2 with A / same v2 not resent; v3 sent; reconnect shows A at v1 → v3"""
    t.serve("a", "b")
    c = t.client()
    c.edit(EDS, [A, B])
    v1 = c.expect(EDS)
    c.ack(v1)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change: v2")
    v2 = c.expect(EDS)
    equal(v2.names, [A], "v2")
    c.nack(v2)
    c.silent()
    t.world.change_endpoints("b")
    t.commit("endpoints of b change")
    other = c.expect(EDS)
    equal(other.names, [B], "B comes without the rejected A")
    c.ack(other)
    c.silent()
    t.world.change_endpoints("a")
    t.commit("endpoints of a change: v3")
    v3 = c.expect(EDS)
    equal(v3.names, [A], "v3")
    check(len({v1.versions[A], v2.versions[A], v3.versions[A]}) == 3, "three versions")
    c.close()
    new = t.client(title="new stream")
    new.edit(EDS, [A, B], initial={A: v1.versions[A], B: other.versions[B]})
    first = new.expect(EDS)
    equal(first.versions.get(A), v3.versions[A], "A, held at v1, is sent at v3")


@scenario(37, [80], [DELTA_ADS], alone=True)
def one_of_many(t: Case) -> None:
    """1 of 10,000 changes / response holds 1; response over the size limit / several, distinct nonces"""
    count = 10_000
    # Long names cost less time to read than many endpoints, and fill a response as well.
    names = [f"service-whose-name-is-as-long-as-a-name-may-be-in-kubernetes-{number:04}" for number in range(count - 1)]
    bulk = World(head=False)
    for start in range(0, len(names), 16):
        part = names[start : start + 16]
        bulk.routes[f"many-{start:05}"] = Route(part)
        bulk.services.update({name: Service() for name in part})
    t.serve("a", bulk=bulk)
    c = t.client()
    c.edit(CDS)
    responses = [c.expect(CDS, within=30)]
    c.ack(responses[-1])
    while len(c.have[CDS]) < count:
        responses.append(c.expect(CDS, within=30))
        c.ack(responses[-1])
    sizes = [response.raw.ByteSize() for response in responses]
    check(len(responses) > 1, f"{sum(sizes)} bytes come in several responses")
    check(max(sizes) < LARGEST, f"the largest has {max(sizes)} bytes")
    equal(len({response.nonce for response in responses}), len(responses), "distinct nonces")
    equal(sum(len(response.names) for response in responses), count, "names")
    c.edit(EDS, list(c.have[CDS]))
    while len(c.have.get(EDS, {})) < count:
        c.ack(c.expect(EDS, within=30))
    t.world.change_cluster("a")
    t.commit("cluster a changes")
    changed = c.expect(CDS, within=30)
    equal((changed.names, changed.removed), ([A], []), "resources and removals")
    c.ack(changed)
    for answer in c.drain():
        equal(answer.names, [A], "what follows the cluster")
        c.ack(answer)
    t.world.change_endpoints("a")
    t.commit("endpoints of a change")
    equal(c.expect(EDS, within=30).names, [A], "resources")
    t.note(f"{count} clusters in {len(responses)} responses of at most {max(sizes)} bytes")


@scenario(38, [50, 73], DELTA)
def changed_and_removed(t: Case) -> None:
    """same name changed and removed within one debounce / only in removed"""
    server = t.serve("a", "b", merge_window="500ms")
    c = t.client()
    c.edit(CDS)
    c.ack(c.expect(CDS))
    t.world.change_cluster("b")
    t.commit("cluster b changes: the merge window is open now")
    seen = server.metric("isthmus_source_reads_total")
    t.world.change_cluster("a")
    t.commit("cluster a changes", wait=False)
    until("the change is read", lambda: server.metric("isthmus_source_reads_total") > seen)
    t.world.drop("a")
    t.commit("cluster a is deleted")
    resources: list[str] = []
    removed: list[str] = []
    while A not in removed:
        got = c.expect(CDS)
        c.ack(got)
        resources += got.names
        removed += got.removed
    check(A not in resources, "A is only in removed")
    equal(removed, [A], "removals")
    c.silent()
