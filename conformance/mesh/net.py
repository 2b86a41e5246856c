"""Machines of a private network: each is a network namespace with a cable to one bridge, IPv4 and IPv6.

The judge itself is at the bridge (10.244.0.1), where the control plane and the name server are too.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

WORK = Path(os.environ["MESH_WORK"])
# Where `isthmus capture` finds nft.
os.environ["PATH"] += f":{Path(os.environ['ISTHMUS_JUDGE_NFT']).parent}"
# What every user may read; the rest of the machine may be root's alone.
PUBLIC = Path("/run/mesh")
BRIDGE4, BRIDGE6 = "10.244.0.1", "fd00:244::1"


def mac(number: int) -> str:
    """Of the machine with this number; the bridge is 1. Without its own, a bridge has that of one of its cables, and another when
    that cable goes; and neighbours go on calling the old one, or that of who had an address before, for half a minute."""
    return f"02:00:0a:f4:00:{number:02x}"


def run(*words: object, given: str | None = None) -> str:
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(str(word) for word in words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def bridge() -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "mesh0", "address", mac(1), "type", "bridge")
    run("ip", "address", "add", f"{BRIDGE4}/24", "dev", "mesh0")
    run("ip", "address", "add", f"{BRIDGE6}/64", "dev", "mesh0", "nodad")
    run("ip", "link", "set", "mesh0", "up")


class Host:
    """A machine. Its files are read by all; what runs there runs as the user that `start` is given."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.v4, self.v6 = f"10.244.0.{number}", f"fd00:244::{number:x}"
        self.children: list[subprocess.Popen[bytes]] = []
        self.nameserver(BRIDGE4)
        far = f"v{number}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", far, "type", "veth", "peer", "name", "eth0", "address", mac(number), "netns", name)
        run("ip", "link", "set", far, "master", "mesh0", "up")
        commands = [
            "link set lo up",
            f"address add {self.v4}/24 dev eth0",
            f"address add {self.v6}/64 dev eth0 nodad",
            "link set eth0 up",
            f"route add default via {BRIDGE4}",
            f"-6 route add default via {BRIDGE6}",
        ]
        for command in commands:
            run("ip", "-n", name, *command.split())
        # Gateways listen where their Gateway says, without being root.
        self.run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")

    def nameserver(self, address: str) -> None:
        folder = Path("/etc/netns") / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {address}\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:2 timeout:2 attempts:2\n")

    def run(self, *words: object, given: str | None = None) -> str:
        return run("ip", "netns", "exec", self.name, *words, given=given)

    def start(self, what: str, user: int, *words: object, stdin: int = subprocess.DEVNULL, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """A program of this machine, as this user; its log is in a file of that name."""
        command = ["ip", "netns", "exec", self.name]
        if user:
            command += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
        with (WORK / f"logs/{self.name}-{what}.log").open("ab") as log:
            child = subprocess.Popen(
                [*command, *(str(word) for word in words)], stdin=stdin, stdout=log if stdout is None else stdout, stderr=log
            )
        self.children.append(child)
        return child

    def stop(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
        self.children.clear()

    def remove(self) -> None:
        self.stop()
        run("ip", "netns", "delete", self.name)
