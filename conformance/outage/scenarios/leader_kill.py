"""The leader is killed (SIGKILL): the other one leads, statuses go on being written, and gateways go on being made."""

from case import Case
from world import World, gateway, route


def play(world: World, case: Case) -> None:
    leader, _ = world.replicas.wait_leader()
    other = next(replica for replica in world.replicas.all if replica is not leader)
    later = [route("shop", "later", "later.example.com"), *gateway("shop", "second")]
    with case.load([world.target()]):
        leader.kill()
        found, took = world.replicas.wait_leader(60)
        case.need("the other one leads", found is other, f"{took:.1f} s")
        world.cluster.apply(*later)
        case.within("a new route is accepted", world.wait_route("shop", "later"))
        case.within("... and answered", world.wait_answer(world.target("later.example.com")))
        address = world.wait_gateway("shop", "second")
        case.check("a new Gateway is programmed, with an address and two Envoys", address, address)
        leader.start()
        case.within("the one that was killed is ready again", leader.wait_ready())
        case.check("... and does not lead", world.replicas.leader() is other)
    world.remove(*later)
