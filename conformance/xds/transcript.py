"""What was said on the wire, a line each, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from stream import End, Response
from wire import BY_URL


def short(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(name or '""' for name in names[:6])
    return f"[{shown}{', …' if len(names) > 6 else ''}]" + (f" ({len(names)})" if len(names) > 6 else "")


def request_text(request: Any) -> str:
    kind = BY_URL.get(request.type_url)
    parts = [kind.short if kind else (request.type_url or "(no type_url)")]
    if isinstance(request, discovery_pb2.DiscoveryRequest):
        parts.append(short(request.resource_names))
        parts += [f"version={request.version_info}"] if request.version_info else []
    else:
        parts.append(f"sub={short(request.resource_names_subscribe)}")
        if request.resource_names_unsubscribe:
            parts.append(f"unsub={short(request.resource_names_unsubscribe)}")
        if request.initial_resource_versions:
            parts.append(f"init={short(request.initial_resource_versions)}")
    parts += [f"nonce={request.response_nonce}"] if request.response_nonce else []
    parts += ["NACK"] if request.HasField("error_detail") else []
    return " ".join(parts)


def response_text(response: Response) -> str:
    parts = [response.kind.short, short(response.names)]
    parts += [f"removed={short(response.removed)}"] if response.removed else []
    parts += [f"version={response.version}", f"nonce={response.nonce}"]
    return " ".join(parts)


def arrival_text(got: Response | End) -> str:
    if isinstance(got, End):
        return f"the end {got.code.name} {got.details}"
    return response_text(got)
