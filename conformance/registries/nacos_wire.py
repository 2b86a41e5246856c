"""The little of Nacos' gRPC that an application needs to register: one message, JSON inside."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

from bed import Failure


def _messages() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="bed_nacos.proto", syntax="proto3")
    file.dependency.append("google/protobuf/any.proto")
    field = descriptor_pb2.FieldDescriptorProto
    metadata = file.message_type.add(name="Metadata")
    metadata.field.add(name="type", number=3, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    metadata.field.add(name="clientIp", number=8, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    payload = file.message_type.add(name="Payload")
    one = {"type": field.TYPE_MESSAGE, "label": field.LABEL_OPTIONAL}
    payload.field.add(name="metadata", number=2, type_name=".Metadata", **one)
    payload.field.add(name="body", number=3, type_name=".google.protobuf.Any", **one)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return tuple(message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in ("Payload", "Metadata"))


PAYLOAD, METADATA = _messages()
ABILITIES = {"supportPersistentInstanceByGrpc": True}


def pack(kind: str, body: dict[str, Any]) -> Any:
    metadata = METADATA(type=kind, clientIp="10.99.0.1")
    return PAYLOAD(metadata=metadata, body=any_pb2.Any(value=json.dumps(body).encode()))


class Client:
    def __init__(self, target: str) -> None:
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(target, options=options)
        form = {"request_serializer": PAYLOAD.SerializeToString, "response_deserializer": PAYLOAD.FromString}
        self._unary = self._channel.unary_unary("/Request/request", **form)
        self._out: queue.Queue[Any] = queue.Queue()
        self.ask("ServerCheckRequest", {"module": "internal"})
        stream = self._channel.stream_stream("/BiRequestStream/requestBiStream", **form)
        self._stream = stream(self._sent())
        labels = {"source": "sdk", "module": "naming"}
        setup = {"clientVersion": "Nacos-Java-Client:v2.5.1", "labels": labels, "tenant": "", "module": "internal"}
        self._out.put(pack("ConnectionSetupRequest", setup | {"abilityTable": ABILITIES, "clientAbilities": {}}))
        threading.Thread(target=self._pushes, daemon=True).start()
        self._until_known()

    def _until_known(self) -> None:
        """The server takes the set-up in its own time, and refuses requests before."""
        for _ in range(100):
            try:
                self.ask("HealthCheckRequest", {"module": "internal"})
                return
            except Failure:
                threading.Event().wait(0.05)
        raise Failure("Nacos did not take the connection")

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._unary(pack(kind, body), timeout=10)
        except grpc.RpcError as error:
            raise Failure(f"{kind}: {error}") from None
        said = json.loads(answer.body.value)
        if said.get("resultCode") != 200:
            raise Failure(f"{kind}: {said}")
        return said

    def close(self) -> None:
        self._channel.close()

    def _sent(self) -> Iterator[Any]:
        while True:
            yield self._out.get()

    def _pushes(self) -> None:
        """Answers what the server asks; without that it drops the connection."""
        try:
            for message in self._stream:
                kind = message.metadata.type
                if kind.endswith("Request"):
                    identity = json.loads(message.body.value).get("requestId")
                    answer = {"resultCode": 200, "errorCode": 0, "requestId": identity, "success": True}
                    self._out.put(pack(kind.removesuffix("Request") + "Response", answer))
        except grpc.RpcError:
            pass
