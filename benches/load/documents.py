"""The folder that `isthmus serve` is given: N services of ten endpoints, a route with one host for each, one gateway.

Each EndpointSlice is a file of its own: a change is one small file, as a registry's exporter would write it.
"""

from __future__ import annotations

from pathlib import Path

NAMESPACE = "shop"
GATEWAY = "edge"
ENDPOINTS = 10

_GATEWAY = f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: isthmus}}
spec: {{controllerName: isthmus.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {GATEWAY}, namespace: {NAMESPACE}}}
spec: {{gatewayClassName: isthmus, listeners: [{{name: http, protocol: HTTP, port: 8080}}]}}
"""

_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: svc-<svc>, namespace: <namespace>}
spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
"""

_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route-<svc>, namespace: <namespace>}
spec:
  parentRefs: [{name: <gateway>}]
  hostnames: [svc-<svc>.ns1.example.com]
  rules:
  - backendRefs: [{name: svc-<svc>, port: 80}]
"""

_SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-<svc>, namespace: <namespace>, labels: {kubernetes.io/service-name: svc-<svc>}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
"""


def slice_file(service: int | str) -> str:
    return f"slice-{service}.yaml"


def slice_template() -> str:
    """With the places that the load client fills: the service, its number's bytes, the marker."""
    head = _SLICE.replace("<svc>", "{svc}").replace("<namespace>", NAMESPACE)
    fixed = "".join(f"- addresses: [10.{10 + j}.{{hi}}.{{lo}}]\n" for j in range(1, ENDPOINTS))
    return f"{head}- addresses: [{{ip}}]\n{fixed}"


def _slice(service: int) -> str:
    high, low = service >> 8, service & 255
    text = slice_template().replace("{ip}", f"10.10.{high}.{low}").replace("{svc}", str(service))
    return text.replace("{hi}", str(high)).replace("{lo}", str(low))


def _all(template: str, services: int, first: int = 0) -> str:
    one = template.replace("<namespace>", NAMESPACE).replace("<gateway>", GATEWAY)
    return "---\n".join(one.replace("<svc>", str(k)) for k in range(first, first + services))


def write(folder: Path, services: int, unrelated: int) -> None:
    """`unrelated` further services have endpoints and no route."""
    folder.mkdir(parents=True)
    (folder / "gateway.yaml").write_text(_GATEWAY)
    (folder / "services.yaml").write_text(_all(_SERVICE, services))
    (folder / "routes.yaml").write_text(_all(_ROUTE, services))
    if unrelated:
        (folder / "unrelated.yaml").write_text(_all(_SERVICE, unrelated, services))
    for service in range(services + unrelated):
        (folder / slice_file(service)).write_text(_slice(service))
