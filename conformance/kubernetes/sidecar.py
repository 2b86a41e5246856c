"""Asks the xDS port as the Envoy of a sidecar would, for its own certificate, and prints what became of it: the SPIFFE id
in the certificate, the status of the refusal, or `nothing`.

ISTHMUS_TOKEN=… python3 sidecar.py HOST:PORT CA-FILE METADATA-AS-JSON
"""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time

address, authority, metadata = sys.argv[1:]
NAMES = {"0": "OK", "3": "INVALID_ARGUMENT", "7": "PERMISSION_DENIED", "14": "UNAVAILABLE", "16": "UNAUTHENTICATED"}


def field(number, content):
    """A field of a message (protobuf): text, or a message that is encoded already."""
    content = content.encode() if isinstance(content, str) else content
    length, size = len(content), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def struct(entries):
    """google.protobuf.Struct."""
    value = lambda v: field(5, struct(v)) if isinstance(v, dict) else field(3, v)
    return b"".join(field(1, field(1, key) + field(2, value(v))) for key, v in entries.items())


node = field(1, "judge") + field(3, struct({"isthmus": json.loads(metadata)}))
secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
request = field(1, node) + field(2, secret) + field(3, "isthmus/identity")
message = b"\0" + len(request).to_bytes(4, "big") + request
method = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
headers = {"content-type": "application/grpc", "te": "trailers"}
token = os.environ.get("ISTHMUS_TOKEN")
if token:
    headers["authorization"] = f"Bearer {token}"


def status():
    """What becomes of a request that ends at once: 0 where it would be served."""
    command = ["curl", "-sS", "--http2", "--cacert", authority, "-m", "10", "-D", "-", "-o", "/dev/null", "--data-binary", "@-"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run([*command, f"https://{address}/{method}"], input=message, capture_output=True, check=False)
    found = re.search(r"grpc-status: (\d+)", done.stdout.decode())
    return found[1] if found else f"no answer: {done.stderr.decode().strip()}"


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def text(value):
    """A string of HPACK, not compressed."""
    value = value.encode()
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, size = len(value) - 127, b"\x7f"
    while rest > 127:
        size, rest = size + bytes([rest & 127 | 128]), rest >> 7
    return size + bytes([rest]) + value


def certificate():
    """The leaf that a stream is given which stays open, as that of an Envoy does."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["h2"])
    host, port = address.rsplit(":", 1)
    every = {":method": "POST", ":scheme": "https", ":authority": address, ":path": f"/{method}", **headers}
    block = b"".join(b"\0" + text(name) + text(value) for name, value in every.items())
    with context.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        connection.sendall(frame(1, 4, 1, block) + frame(0, 0, 1, message))
        said, deadline = b"", time.monotonic() + 10
        while time.monotonic() < deadline:
            leaf = re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.S)
            if leaf is not None:
                return leaf[0]
            said += connection.recv(65536)
    return None


code = status()
leaf = certificate() if code == "0" else None
if leaf is not None:
    shown = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=leaf, capture_output=True, check=True)
    print(re.search(r"URI:(\S+)", shown.stdout.decode())[1])
else:
    print(NAMES.get(code, code) if code != "0" else "nothing")
