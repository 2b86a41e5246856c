"""A TCP relay that can freeze: the connections stay open, and nothing gets through, as behind a dead NAT entry."""

from __future__ import annotations

import selectors
import socket
import threading


class Relay:
    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._frozen = threading.Event()
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._frozen.set()

    def drop(self) -> None:
        """Cuts all connections at once, without a word of HTTP/2."""
        for end in self._sockets:
            end.close()
        self._sockets.clear()

    def close(self) -> None:
        self._closed.set()
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._sockets += [near, far]
            threading.Thread(target=self._pump, args=(near, far), daemon=True).start()

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        peer = {near: far, far: near}
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(near, selectors.EVENT_READ)
                selector.register(far, selectors.EVENT_READ)
                while not self._closed.is_set() and not self._frozen.is_set():
                    for key, _ in selector.select(timeout=0.1):
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        if self._frozen.is_set():
                            return
                        peer[key.fileobj].sendall(data)  # type: ignore[index]
        except (OSError, ValueError):
            return
        finally:
            if not self._frozen.is_set():
                near.close()
                far.close()
