"""Asks the xDS port as the Envoy of a sidecar would, for its own certificate, and prints what became of it: the SPIFFE id
in the certificate, the status of the refusal, or `nothing`.

ISTHMUS_TOKEN=… python3 sidecar.py HOST:PORT CA-FILE METADATA-AS-JSON
"""

import json
import os
import re
import subprocess
import sys

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
# curl ends by itself after this long; until then the stream is open, as that of an Envoy is.
command = ["curl", "-sS", "-N", "--http2", "--cacert", authority, "-m", "5", "-X", "POST", "-T", "-", "-D", "-"]
headers = {"content-type": "application/grpc", "te": "trailers"}
token = os.environ.get("ISTHMUS_TOKEN")
if token:
    headers["authorization"] = f"Bearer {token}"
for name, value in headers.items():
    command += ["-H", f"{name}: {value}"]
curl = subprocess.Popen([*command, f"https://{address}/{method}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
curl.stdin.write(message)
curl.stdin.flush()
said, leaf, status = b"", None, None
while leaf is None and status is None:
    more = curl.stdout.read1()
    if not more:
        break
    said += more
    leaf = re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----(?=.*isthmus/identity)", said, re.S)
    status = re.search(rb"grpc-status: (\d+)", said)
curl.kill()
if leaf is not None:
    text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=leaf[0], capture_output=True, check=True)
    print(re.search(r"URI:(\S+)", text.stdout.decode())[1])
elif status is None:
    print("nothing")
else:
    print(NAMES.get(status[1].decode(), status[1].decode()))
