"""Between a single-type Envoy and the program: says "ask on a stream of its own" where the resources say `ads`.

The product writes for aggregated streams. Which stream a reference is asked on is a few bytes in a Cluster or Listener;
everything else (names, versions, nonces, acknowledgements, ends) passes as it is, and EDS, RDS and SDS do not come by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from envoy.config.core.v3 import config_source_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.service.discovery.v3 import discovery_pb2

from server import free_port
from stream import CHANNEL_OPTIONS
from wire import CDS, LDS, Form, Type


class Translator:
    def __init__(self, target: str, form: Form, source: config_source_pb2.ApiConfigSource) -> None:
        options = [*CHANNEL_OPTIONS, ("grpc.max_reconnect_backoff_ms", 500)]
        self._channel = grpc.insecure_channel(target, options=options)
        self._form, self._source = form, source
        self.port = free_port()
        self._server = grpc.server(ThreadPoolExecutor(8), options=CHANNEL_OPTIONS)
        for kind in (CDS, LDS):
            service, method = kind.method(form)[1:].split("/")
            handler = grpc.stream_stream_rpc_method_handler(self._relay(kind), bytes, bytes)
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def close(self) -> None:
        self._server.stop(0)
        self._channel.close()

    def _relay(self, kind: Type) -> Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]:
        def relay(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            call = self._channel.stream_stream(kind.method(self._form), bytes, bytes)(requests)
            context.add_callback(call.cancel)
            try:
                for response in call:
                    yield self._translate(response)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return relay

    def _translate(self, raw: bytes) -> bytes:
        sotw = self._form is Form.SOTW
        response = (discovery_pb2.DiscoveryResponse if sotw else discovery_pb2.DeltaDiscoveryResponse).FromString(raw)
        for item in response.resources:
            body = item if sotw else item.resource
            if body.type_url == CDS.url:
                cluster = CDS.message.FromString(body.value)
                self._turn(cluster.eds_cluster_config.eds_config)
                body.value = cluster.SerializeToString(deterministic=True)
            elif body.type_url == LDS.url:
                body.value = self._listener(LDS.message.FromString(body.value))
        return response.SerializeToString(deterministic=True)

    def _listener(self, listener: Any) -> bytes:
        for chain in listener.filter_chains:
            for item in chain.filters:
                manager = http_connection_manager_pb2.HttpConnectionManager()
                if item.HasField("config_discovery"):
                    self._turn(item.config_discovery.config_source)
                if item.typed_config.Unpack(manager):
                    self._turn(manager.rds.config_source)
                    for slot in manager.http_filters:
                        if slot.HasField("config_discovery"):
                            self._turn(slot.config_discovery.config_source)
                    item.typed_config.Pack(manager, deterministic=True)
            context = tls_pb2.DownstreamTlsContext()
            if chain.transport_socket.typed_config.Unpack(context):
                for secret in context.common_tls_context.tls_certificate_sds_secret_configs:
                    self._turn(secret.sds_config)
                chain.transport_socket.typed_config.Pack(context, deterministic=True)
        return listener.SerializeToString(deterministic=True)

    def _turn(self, source: config_source_pb2.ConfigSource) -> None:
        if source.HasField("ads"):
            source.api_config_source.CopyFrom(self._source)
