"""Envoy's bootstrap, written by the judge: the product's own is another matter."""

from __future__ import annotations

from typing import Any

from wire import Form
from world import GATEWAY, NAMESPACE

# Listeners report to the cluster of this name.
CONTROL_PLANE = "isthmus"
TRANSLATOR = "translator"
PROTOCOL = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(form: Form, xds_port: int, admin_port: int, translator_port: int = 0) -> dict[str, Any]:
    """With a translator the Envoy is a single-type one: CDS and LDS by way of it, the others straight."""
    dynamic: dict[str, Any]
    clusters = [_cluster(CONTROL_PLANE, xds_port)]
    if translator_port:
        clusters.append(_cluster(TRANSLATOR, translator_port))
        single = {"api_config_source": source(form, TRANSLATOR), "resource_api_version": "V3"}
        dynamic = {"cds_config": single, "lds_config": single}
    else:
        ads = {"ads": {}, "resource_api_version": "V3"}
        dynamic = {"ads_config": source(form, CONTROL_PLANE), "cds_config": ads, "lds_config": ads}
    return {
        "node": {
            "id": f"envoy-{form.value}",
            "cluster": f"{GATEWAY}.{NAMESPACE}",
            "metadata": {"isthmus": {"role": "gateway", "gateway": f"{NAMESPACE}/{GATEWAY}"}},
        },
        "admin": {"address": _address(admin_port)},
        "dynamic_resources": dynamic,
        "static_resources": {"clusters": clusters},
    }


def source(form: Form, cluster: str = CONTROL_PLANE) -> dict[str, Any]:
    """An ApiConfigSource."""
    return {
        "api_type": "GRPC" if form is Form.SOTW else "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": cluster}}],
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    lb_endpoints = [{"endpoint": {"address": _address(port)}}]
    explicit = {"http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}}
    options = {"@type": PROTOCOL, "explicit_http_config": explicit}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": lb_endpoints}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
