"""The application in every pod: says who it is and what it saw, and calls on as it is told.

    app.py NAME POD SOCKET [--forget]

HTTP on ports 8080 and 8081, a line of TCP on port 9090, on port 9091 one where the server speaks first; and HTTP on the socket,
where the judge says what is to be called: the network and its rules have no part in that. A call is `{"url": …, "host": …, "headers": {…}}` or
`{"tcp": "host:port"}`, with `"quiet": true` for a client that waits; `"kept": name` uses one connection for all calls of that
name. The header `x-hops` is a list of the calls that are still to be made, the first of them by whoever gets it.
The lane goes on from hop to hop, as an agent of OpenTelemetry would see to; with --forget it does not.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

NAME, POD, SOCKET = sys.argv[1:4]
CARRIED = () if "--forget" in sys.argv else ("baggage", "x-isthmus-lane")
TIMEOUT = 10


def call(step: dict[str, Any], more: list[Any], carried: dict[str, str]) -> dict[str, Any]:
    try:
        return tcp(step["tcp"], not step.get("quiet")) if "tcp" in step else web(step, more, carried)
    except (OSError, http.client.HTTPException) as error:
        return {"error": repr(error)}


# Connections that are kept, and how many of that name were opened.
KEPT: dict[str, tuple[http.client.HTTPConnection, int]] = {}


def web(step: dict[str, Any], more: list[Any], carried: dict[str, str]) -> dict[str, Any]:
    url = urlsplit(step["url"])
    name = step.get("kept")
    connection, opened = KEPT.get(name, (None, 0))
    if connection is None or connection.sock is None:
        connection, opened = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=TIMEOUT), opened + 1
    headers = {**carried, **step.get("headers", {})}
    if "host" in step:
        headers["host"] = step["host"]
    if more:
        headers["x-hops"] = json.dumps(more)
    try:
        connection.request(step.get("method", "GET"), url.path or "/", headers=headers)
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    finally:
        if name:
            KEPT[name] = (connection, opened)
        else:
            connection.close()
    said: Any = body
    if response.getheader("content-type") == "application/json":
        said = json.loads(body)
    return {"status": response.status, "headers": {k.lower(): v for k, v in response.getheaders()}, "body": said, "opened": opened}


def tcp(target: str, speaks: bool) -> dict[str, Any]:
    host, _, port = target.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT) as connection:
        if speaks:
            connection.sendall(b"hello\n")
        data = b""
        while part := connection.recv(65536):
            data += part
    return json.loads(data) if data else {"error": "closed without an answer"}


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Head and body in one piece: half of an answer waits for the client's delayed acknowledgement.
    wbufsize = -1

    def answer(self, said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-app", NAME)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {key.lower(): value for key, value in self.headers.items()}
        hops = json.loads(headers.pop("x-hops", "[]"))
        said: dict[str, Any] = {
            "app": NAME,
            "pod": POD,
            "uid": os.getuid(),
            "peer": self.client_address[0],
            "local": self.connection.getsockname()[0],
            "method": self.command,
            "path": self.path,
            "headers": headers,
        }
        if hops:
            said["next"] = call(hops[0], hops[1:], {key: headers[key] for key in CARRIED if key in headers})
        self.answer(said)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


class Told(App):
    """The judge's side door."""

    def do_POST(self) -> None:
        hops = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer(call(hops[0], hops[1:], {}))

    def address_string(self) -> str:
        return "judge"


class Line(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        said = self.rfile.readline().decode(errors="replace").strip()
        self.wfile.write(json.dumps({"app": NAME, "pod": POD, "peer": self.client_address[0], "said": said}).encode())


class Greeting(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(json.dumps({"app": NAME, "pod": POD, "peer": self.client_address[0]}).encode())


class Web(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 256


class Lines(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


class Door(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main() -> None:
    servers = (Web(("::", 8080), App), Web(("::", 8081), App), Lines(("::", 9090), Line), Lines(("::", 9091), Greeting))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    Door(SOCKET, Told).serve_forever()


if __name__ == "__main__":
    main()
