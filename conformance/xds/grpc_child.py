"""A program that dials `xds:///NAME` with grpcio's own xDS client and makes one call for each line that it reads.

A process of its own, because GRPC_XDS_BOOTSTRAP_CONFIG is read once, before the first channel.
"""

from __future__ import annotations

import sys

import grpc


def main() -> None:
    with grpc.insecure_channel(sys.argv[1]) as channel:
        say = channel.unary_unary("/judge.Echo/Say", request_serializer=bytes, response_deserializer=bytes)
        for _ in sys.stdin:
            try:
                print(f"ok {say(b'', timeout=5).decode()}", flush=True)
            except grpc.RpcError as error:
                print(f"error {error.code().name} {error.details()}".replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
