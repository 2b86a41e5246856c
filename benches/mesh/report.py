"""The figures as a page."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from typing import TYPE_CHECKING

import machine
from documents import Sizes

if TYPE_CHECKING:
    from bench import Figures

# Who the real Envoy is.
SIDECAR = ["--role", "sidecar", "--namespace", "ns-0", "--account", "app-0", "--pod", "app-0-0", "--ip", "127.0.0.1", "--label", "app=app-0"]


def text(all_of: list[Figures], sizes: Sizes) -> str:
    version = subprocess.run([os.environ["ISTHMUS_BIN"], "--version"], capture_output=True, text=True, check=True).stdout.strip()
    row = lambda what, cell: f"| {what} | " + " | ".join(cell(one) for one in all_of) + " |"  # noqa: E731
    span = lambda values: str(values[0]) if len(set(values)) == 1 else f"{min(values)}–{max(values)}"  # noqa: E731
    rows = [
        row("simulated sidecars", lambda f: f"{f.sidecars:,}"),
        row("services that the real Envoy holds", lambda f: str(f.clusters)),
        row("start to ready, s", lambda f: f"{f.ready:.1f}"),
        row("RSS of the control plane when ready, MiB", lambda f: f"{f.rss_ready:.0f}"),
        row("… with all sidecars in step, MiB", lambda f: f"{f.rss_synced:.0f}"),
        row("… at most, MiB", lambda f: f"{f.rss_peak:.0f}"),
        row("all sidecars in step after, s", lambda f: f"{f.sync:.1f}"),
        row("… CPU of the control plane, s", lambda f: f"{f.sync_cpu:.1f}"),
        row("sent to a sidecar, KiB", lambda f: f"{f.bytes_per_sidecar / 1024:.0f}"),
        row("RSS of the real Envoy, MiB", lambda f: f"{f.envoy_rss:.0f}"),
        row("**one endpoint changes**: sidecars that it concerns", lambda f: str(f.concerned)),
        row("… sidecars that were told", lambda f: span(f.told)),
        row("… scopes published (`isthmus_groups_published_total`)", lambda f: span(f.groups)),
        row("… the real Envoy has it, ms, median and worst", lambda f: f"{statistics.median(f.latency) * 1000:.0f}, {max(f.latency) * 1000:.0f}"),
        row("… CPU of the control plane, ms", lambda f: f"{f.change_cpu * 1000:.0f}"),
        row("one endpoint of a service elsewhere changes: sidecars that were told", lambda f: span(f.foreign)),
    ]
    return f"""# A mesh of {sizes.all_services:,} services

{time.strftime("%Y-%m-%d", time.gmtime())}, {version} ({os.environ["ISTHMUS_BUILD"]}), Envoy 1.40; {sizes.namespaces} namespaces of {sizes.services} services with two endpoints each, {sizes.sidecars:,} simulated sidecars ({sizes.workloads} workloads of {sizes.replicas} pods in each namespace) and a real one, all on one machine: {machine.description()}.
`make bench-mesh` repeats it.

| | a SidecarScope of five services | no scope: the own namespace |
|---|---|---|
{chr(10).join(rows)}

Sidecars of a scope share its bytes: what grows with their number is a stream each. CPU of a change includes the metrics that the bench asks for while it waits.
"""
