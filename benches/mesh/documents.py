"""The folder: namespaces with services of two endpoints, workloads, and what their sidecars are to know."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    namespaces: int = 50
    services: int = 200
    # In each namespace: so many workloads of so many pods.
    workloads: int = 4
    replicas: int = 5

    @property
    def sidecars(self) -> int:
        return self.namespaces * self.workloads * self.replicas

    @property
    def all_services(self) -> int:
        return self.namespaces * self.services


def make(kind: str, namespace: str, name: str, version: str, labels: Json | None = None, **fields: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def address(namespace: int, service: int, endpoint: int) -> str:
    """Of an endpoint that never moves; the first of each service is a pod with a sidecar, where there is one."""
    return f"10.{100 + endpoint}.{namespace}.{service}"


def slice_of(sizes: Sizes, namespace: int, service: int, moved: str = "") -> Json:
    ends = [{"addresses": [moved or address(namespace, service, 0)]}, {"addresses": [address(namespace, service, 1)]}]
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    labels = {"kubernetes.io/service-name": f"svc-{service}"}
    return make("EndpointSlice", f"ns-{namespace}", f"svc-{service}", "discovery.k8s.io/v1", labels, addressType="IPv4", ports=ports, endpoints=ends)


def slice_file(folder: Path, namespace: int, service: int) -> Path:
    return folder / f"slice-{namespace}-{service}.yaml"


def put(file: Path, *documents: Json) -> None:
    """Whole or not at all."""
    new = file.with_name(f".{file.name}")
    new.write_text("\n---\n".join(json.dumps(document) for document in documents) + "\n")
    new.rename(file)


def scope(namespace: str, hosts: list[str]) -> Json:
    return make("SidecarScope", namespace, "default", "isthmus.dev/v1alpha1", spec={"egress": [{"hosts": hosts}]})


def used(sizes: Sizes, namespace: int) -> list[tuple[int, int]]:
    """The five services that the workloads of a namespace call: three of their own, two of a neighbour."""
    neighbour = (namespace + 1) % sizes.namespaces
    return [(namespace, 0), (namespace, 1), (namespace, 2), (neighbour, 0), (neighbour, 3)]


def write(folder: Path, sizes: Sizes) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for namespace in range(sizes.namespaces):
        name = f"ns-{namespace}"
        documents: list[Json] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
        for service in range(sizes.services):
            vip = f"10.96.{namespace}.{service}"
            ports = [{"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}]
            documents.append(make("Service", name, f"svc-{service}", "v1", spec={"clusterIP": vip, "clusterIPs": [vip], "ports": ports, "selector": {"app": f"app-{service}"}}))
            put(slice_file(folder, namespace, service), slice_of(sizes, namespace, service))
        # The pods of the first services: what is behind their first endpoint takes the mesh's TLS.
        for workload in range(sizes.workloads):
            labels = {"app": f"app-{workload}", "isthmus.dev/sidecar": "injected"}
            status = {"phase": "Running", "podIPs": [{"ip": address(namespace, workload, 0)}]}
            documents.append(make("Pod", name, f"app-{workload}-0", "v1", labels, spec={"serviceAccountName": f"app-{workload}"}, status=status))
        put(folder / f"{name}.yaml", *documents)


def write_scopes(folder: Path, sizes: Sizes, how: str) -> None:
    file = folder / "scopes.yaml"
    if how == "five":
        put(file, *(scope(f"ns-{n}", [f"ns-{other}/svc-{service}" for other, service in used(sizes, n)]) for n in range(sizes.namespaces)))
    else:
        file.unlink(missing_ok=True)
