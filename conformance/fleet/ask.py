"""Asks the xDS port as the Envoy of a Gateway would, and prints what became of it: `served`, or the status of the refusal.

ISTHMUS_TOKEN=… python3 ask.py HOST:PORT CA-FILE NAMESPACE/GATEWAY
"""

import os
import re
import subprocess
import sys

address, authority, gateway = sys.argv[1:]
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


node = field(1, "judge") + field(3, struct({"isthmus": {"role": "gateway", "gateway": gateway}}))
request = field(1, node) + field(2, "type.googleapis.com/envoy.config.cluster.v3.Cluster")
message = b"\0" + len(request).to_bytes(4, "big") + request
method = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
command = ["curl", "-sS", "--http2", "--cacert", authority, "-m", "10", "-D", "-", "-o", "/dev/null", "--data-binary", "@-"]
headers = {"content-type": "application/grpc", "te": "trailers"}
token = os.environ.get("ISTHMUS_TOKEN")
if token:
    headers["authorization"] = f"Bearer {token}"
for name, value in headers.items():
    command += ["-H", f"{name}: {value}"]
# The request ends there, and with it a stream that is served: with status 0.
done = subprocess.run([*command, f"https://{address}/{method}"], input=message, capture_output=True, check=False)
status = re.search(r"grpc-status: (\d+)", done.stdout.decode())
if status is None:
    print(f"no answer: {done.stderr.decode().strip()}")
else:
    print("served" if status[1] == "0" else NAMES.get(status[1], status[1]))
