"""The name server of the place, as a cluster has one. It notes what it was asked, since the sidecars answer for what they know."""

from __future__ import annotations

import socket
import struct
import threading

from net import BRIDGE4


class NameServer:
    def __init__(self, table: dict[str, tuple[str, str]]) -> None:
        """Name: its IPv4 and its IPv6 address."""
        self.table = table
        self.asked: set[str] = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((BRIDGE4, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, peer = self.socket.recvfrom(4096)
            try:
                answer = self._answer(query)
            except (IndexError, struct.error, UnicodeDecodeError):
                continue
            self.socket.sendto(answer, peer)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = query[12 : at + 5]
        (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
        name = ".".join(labels).lower()
        self.asked.add(name)
        found = self.table.get(name)
        data = b""
        if found and kind == 1:
            data = socket.inet_pton(socket.AF_INET, found[0])
        elif found and kind == 28:
            data = socket.inet_pton(socket.AF_INET6, found[1])
        # An answer, recursion available; NXDOMAIN for a name that is none.
        head = query[:2] + struct.pack("!HHHHH", 0x8180 if found else 0x8183, 1, 1 if data else 0, 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 5, len(data)) + data if data else b""
        return head + question + record
