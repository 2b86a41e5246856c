"""Servers that say who they are, in a pod and in the world around it; clients of several users; and what they get."""

import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading

PROXY = 1337
APP = 1000
CAPTURE = ["--exclude-outbound-ports", "3306", "--exclude-outbound", "10.9.0.0/16,fd09::/16"]
CAPTURE += ["--exclude-inbound-ports", "22", "--dns-server", "10.96.0.10,fd96::a"]
# Address of the pod, of the world, one that is excluded, a DNS server, the source of deliveries, loopback.
V4 = ("10.1.0.2", "10.2.0.1", "10.9.0.1", "10.96.0.10", "127.0.0.6", "127.0.0.1")
V6 = ("fd01::2", "fd02::1", "fd09::1", "fd96::a", "::6", "::1")
SO_ORIGINAL_DST = 80
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    with open(f"/run/netns/{namespace}") as file:
        # os.setns is there from Python 3.12 on.
        if LIBC.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), namespace)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def original(connection):
    """Where the client wanted to go, by the kernel's word."""
    if connection.family == socket.AF_INET:
        raw = connection.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
        return f"{socket.inet_ntop(socket.AF_INET, raw[4:8])} {struct.unpack('!H', raw[2:4])[0]}"
    raw = connection.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
    return f"{socket.inet_ntop(socket.AF_INET6, raw[8:24])} {struct.unpack('!H', raw[2:4])[0]}"


def serve(name, port):
    """Answers with its name; those of the sidecar say where the client wanted to go."""
    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        server = socket.socket(family)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((any_address, port))
        server.listen(64)
        threading.Thread(target=accept, args=(name, server), daemon=True).start()


def accept(name, server):
    while True:
        connection, _ = server.accept()
        wanted = " for " + original(connection) if name in ("outbound", "inbound") else ""
        connection.sendall((name + wanted).encode())
        connection.close()


def serve_udp(name, address, port):
    """Bound to one address, from which its answers come then (Envoy sees to that by itself)."""
    server = socket.socket(family_of(address), socket.SOCK_DGRAM)
    server.bind((address, port))
    threading.Thread(target=answer, args=(name, server), daemon=True).start()


def answer(name, server):
    while True:
        _, client = server.recvfrom(100)
        server.sendto(name.encode(), client)


def in_child(namespace, act):
    """What `act` returns in a process of its own in that namespace."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter(namespace)
            result = act()
        except OSError as error:
            result = type(error).__name__
        os.write(writing, result.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


def dial(namespace, user, address, port, source=None):
    def act():
        os.setgid(user)
        os.setuid(user)
        with socket.socket(family_of(address)) as client:
            client.settimeout(3)
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            return client.recv(100).decode()

    return in_child(namespace, act)


def ask(user, address, port, own_port=0):
    def act():
        os.setgid(user)
        os.setuid(user)
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as client:
            client.settimeout(3)
            client.bind(("::" if ":" in address else "0.0.0.0", own_port))
            client.sendto(b"?", (address, port))
            text, sender = client.recvfrom(100)
            return f"{text.decode()} from {sender[0]}"

    return in_child("pod", act)


failed = False


def check(what, wanted, got):
    global failed
    if got == wanted:
        print(f"ok      {what}")
    else:
        failed = True
        print(f"FAILED  {what}: {got!r} instead of {wanted!r}")


def start(namespace, servers, datagrams):
    """Servers live in processes of their own, so that this one has no threads when it forks."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        enter(namespace)
        for name, port in servers:
            serve(name, port)
        for name, address, port in datagrams:
            serve_udp(name, address, port)
        os.write(writing, b"!")
        threading.Event().wait()
    os.close(writing)
    if not os.read(reading, 1):
        sys.exit(f"the servers in {namespace} did not start")


def isthmus(*words):
    done = subprocess.run(["ip", "netns", "exec", "pod", os.environ["ISTHMUS"], "capture", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"isthmus capture {' '.join(words)}: {done.stderr}")
    return done.stdout


def rules(form):
    programs = [["nft", "list", "ruleset"]] if form == "nft" else [["iptables-save"], ["ip6tables-save"]]
    lines = [line for program in programs for line in in_pod(program).splitlines()]
    # Without the counters of chains.
    return [line.split(" [")[0] for line in lines if not line.startswith("#")]


def in_pod(program):
    return subprocess.run(["ip", "netns", "exec", "pod", *program], capture_output=True, text=True, check=True).stdout


def captured(addresses):
    pod, world, excluded, dns, delivery, loopback = addresses
    of = f"IPv{6 if ':' in pod else 4}"
    check(f"{of}: what the app dials", f"outbound for {world} 80", dial("pod", APP, world, 80))
    check(f"{of}: so of root", f"outbound for {world} 8080", dial("pod", 0, world, 8080))
    check(f"{of}: not what the sidecar dials", "world", dial("pod", PROXY, world, 80))
    check(f"{of}: not an excluded port", "world", dial("pod", APP, world, 3306))
    check(f"{of}: not an excluded network", "world", dial("pod", APP, excluded, 80))
    check(f"{of}: not loopback", "app", dial("pod", APP, loopback, 8080))
    check(f"{of}: not the app to the pod's own address", "app", dial("pod", APP, pod, 8080))
    check(f"{of}: not the sidecar over loopback", "app", dial("pod", PROXY, loopback, 8080))
    check(f"{of}: the sidecar to the pod's own address is inbound", f"inbound for {pod} 8080", dial("pod", PROXY, pod, 8080))
    check(f"{of}: what it delivers reaches the app", "app", dial("pod", PROXY, pod, 8080, delivery))
    check(f"{of}: what comes to the pod", f"inbound for {pod} 8080", dial("world", APP, pod, 8080))
    check(f"{of}: so to a port where nobody listens", f"inbound for {pod} 9999", dial("world", APP, pod, 9999))
    for port in (15020, 15021, 15090, 22):
        check(f"{of}: not what comes to {port}", "direct", dial("world", APP, pod, port))
    check(f"{of}: DNS queries, answered as from the server", f"dns from {dns}", ask(APP, dns, 53, 5353))
    # The kernel still remembers the connection of the same ports.
    check(f"{of}: not those of the sidecar", f"world from {dns}", ask(PROXY, dns, 53, 5353))
    check(f"{of}: nor those to another server", f"world from {world}", ask(APP, world, 53))
    check(f"{of}: nor DNS over TCP", "world", dial("pod", APP, dns, 53))
    check(f"{of}: nor other datagrams", f"world from {world}", ask(APP, world, 8125))


def main():
    form = sys.argv[1]
    sidecar = [("outbound", 15001), ("inbound", 15006), ("app", 8080)]
    start("pod", sidecar + [("direct", port) for port in (15020, 15021, 15090, 22)], [("dns", address, 15053) for address in (V4[5], V6[5])])
    datagrams = [("world", address, port) for of in (V4, V6) for address in (of[1], of[3]) for port in (53, 8125)]
    start("world", [("world", port) for port in (80, 8080, 3306, 53)], datagrams)

    isthmus(f"--{form}", *CAPTURE)
    once = rules(form)
    captured(V4)
    captured(V6)
    isthmus(f"--{form}", *CAPTURE)
    check("applied twice it is the same", once, rules(form))
    isthmus(f"--{form}", "--no-dns", "--include-outbound", "10.96.0.0/12", "--include-inbound-ports", "9090")
    check("applied otherwise: networks that are not included", "world", dial("pod", APP, V4[1], 80))
    check("those that are", "outbound for 10.96.0.10 80", dial("pod", APP, V4[3], 80))
    check("ports that are not included", "app", dial("world", APP, V4[0], 8080))
    check("those that are", f"inbound for {V4[0]} 9090", dial("world", APP, V4[0], 9090))
    check("no DNS", "world from 10.96.0.10", ask(APP, V4[3], 53))
    isthmus(f"--{form}", *CAPTURE)
    isthmus(f"--{form}", "--remove")
    left = [line for line in rules(form) if "isthmus" in line.lower() or line.startswith("-A")]
    check("removed, nothing is left", [], left)
    check("and nothing is captured", "world", dial("pod", APP, V4[1], 80))
    # Again is no error.
    isthmus(f"--{form}", "--remove")
    sys.stdout.flush()
    os._exit(1 if failed else 0)


main()
