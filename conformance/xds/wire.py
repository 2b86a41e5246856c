"""The discovery services and resource types, as the public protos name them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2

# Messages inside of an Any can be read only once their module is loaded.
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import (
    secret_pb2,
    tls_pb2,  # noqa: F401
)
from envoy.service.runtime.v3 import rtds_pb2


class Form(Enum):
    SOTW = "sotw"
    DELTA = "delta"


@dataclass(frozen=True)
class Type:
    short: str
    message: Any
    name_field: str
    service: str
    # The last word of both methods: StreamClusters, DeltaClusters.
    noun: str
    # Absence from a state-of-the-world response means deletion.
    full_state: bool = False
    sotw: bool = True

    @property
    def url(self) -> str:
        return f"type.googleapis.com/{self.message.DESCRIPTOR.full_name}"

    def method(self, form: Form) -> str:
        verb = "Stream" if form is Form.SOTW else "Delta"
        return f"/envoy.service.{self.service}/{verb}{self.noun}"


CDS = Type("CDS", cluster_pb2.Cluster, "name", "cluster.v3.ClusterDiscoveryService", "Clusters", full_state=True)
EDS = Type(
    "EDS", endpoint_pb2.ClusterLoadAssignment, "cluster_name", "endpoint.v3.EndpointDiscoveryService", "Endpoints"
)
LDS = Type("LDS", listener_pb2.Listener, "name", "listener.v3.ListenerDiscoveryService", "Listeners", full_state=True)
RDS = Type("RDS", route_pb2.RouteConfiguration, "name", "route.v3.RouteDiscoveryService", "Routes")
SRDS = Type(
    "SRDS",
    scoped_route_pb2.ScopedRouteConfiguration,
    "name",
    "route.v3.ScopedRoutesDiscoveryService",
    "ScopedRoutes",
    full_state=True,
)
VHDS = Type(
    "VHDS", route_components_pb2.VirtualHost, "name", "route.v3.VirtualHostDiscoveryService", "VirtualHosts", sotw=False
)
SDS = Type("SDS", secret_pb2.Secret, "name", "secret.v3.SecretDiscoveryService", "Secrets")
RTDS = Type("RTDS", rtds_pb2.Runtime, "name", "runtime.v3.RuntimeDiscoveryService", "Runtime")
ECDS = Type(
    "ECDS",
    extension_pb2.TypedExtensionConfig,
    "name",
    "extension.v3.ExtensionConfigDiscoveryService",
    "ExtensionConfigs",
)

TYPES: tuple[Type, ...] = (CDS, EDS, LDS, RDS, SRDS, VHDS, SDS, RTDS, ECDS)
BY_URL: dict[str, Type] = {kind.url: kind for kind in TYPES}

ADS_METHOD: dict[Form, str] = {
    Form.SOTW: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    Form.DELTA: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
}

# The wrapper of a resource with a TTL in state of the world, and of every resource in delta.
WRAPPER_URL = "type.googleapis.com/envoy.service.discovery.v3.Resource"
