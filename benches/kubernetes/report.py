"""The figures as a page; each target of the project beside what was measured."""

from __future__ import annotations

import os
import statistics
import subprocess
from typing import TYPE_CHECKING

import machine

if TYPE_CHECKING:
    from bench import Figures


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def ms(values: list[float]) -> str:
    return f"{percentile(values, 0.5) * 1000:.1f} | {percentile(values, 0.99) * 1000:.1f} | {len(values)}"


def mark(holds: bool) -> str:
    return "yes" if holds else "**no**"


def text(f: Figures) -> str:
    version = subprocess.run([os.environ["ISTHMUS_JUDGE_BIN"], "--version"], capture_output=True, text=True, check=True).stdout.strip()
    ready, rss, n = statistics.median(f.ready), max(f.start_rss), f.sizes.routes
    p99 = percentile(f.envoy, 0.99)
    return f"""# Isthmus before a real API server

{n} HTTPRoutes, {n} Services, {n} EndpointSlices of 10 endpoints, one Gateway whose Envoy Isthmus runs; Kubernetes 1.36, Envoy 1.40, {version}; everything on one machine: {machine.description()}.
`make bench-kubernetes` repeats it.

| target | | measured | |
|---|---|---|---|
| start to ready | ≤ 5 s | {ready:.2f} s | {mark(ready <= 5)} |
| memory (RSS) when ready | ≤ 120 MiB | {rss:.0f} MiB | {mark(rss <= 120)} |
| status of all routes written after the start | ≤ 10 s | {f.statuses:.2f} s | {mark(f.statuses <= 10)} |
| an endpoint change is in Envoy, p99, the API server's own delay included | ≤ 150 ms | {p99 * 1000:.1f} ms | {mark(p99 <= 0.150)} |
| statuses written while nothing changes, {30} s | 0 | {f.idle_writes} | {mark(f.idle_writes == 0 and f.idle_events == 0)} |

## The start

| | |
|---|---|
| ready, with an empty state folder | {", ".join(f"{one:.2f} s" for one in f.ready)} |
| ready, with the last good state | {f.again_ready:.2f} s |
| CPU until ready | {", ".join(f"{one:.2f} s" for one in f.start_cpu)} |
| RSS when ready | {", ".join(f"{one:.0f} MiB" for one in f.start_rss)} |
| CPU until all statuses are written | {f.statuses_cpu:.2f} s |
| RSS after all of the below | {f.idle_rss:.0f} MiB idle, {f.peak_rss:.0f} MiB at most |
| CPU while idle | {f.idle_cpu:.2f} s in 30 s |

## Changes

Milliseconds from the moment before the write is sent to the API server.
The bare watcher is a connection of its own with nothing behind it, on the same machine: what no control plane can be faster than.
Envoy has it when the first answer comes that only the new configuration can give, asked for every millisecond through the gateway's load balancer.

| | p50 | p99 | of |
|---|---|---|---|
| an EndpointSlice changes: the bare watcher has it | {ms(f.watch)} |
| … Envoy has it | {ms(f.envoy)} |
| … Envoy after the watcher | {ms(f.behind_watch)} |
| a route changes: its status says Accepted for the new generation | {ms(f.route_status)} |
| a listener comes: the Gateway is Programmed for the new generation, its Envoy has acknowledged it | {ms(f.gateway_status)} |
"""
