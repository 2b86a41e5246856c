"""REPORT.md, from the figures that each scenario left as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVERS = (
    "Nacos 3.1.0 and 2.3.2 (third-party rebuilds of the Apache-2.0 sources: Nacos publishes no server to Maven),"
    " ZooKeeper 3.9.5, Consul 1.16.2, Eureka of Spring Cloud 2025.0.0 on Boot 3.5.7"
)


@dataclass
class Results:
    head: dict[str, str]
    outcomes: list[dict[str, Any]]


def read(work: Path) -> Results:
    head = json.loads((work / "head.json").read_text()) if (work / "head.json").exists() else {}
    files = sorted(file for file in work.glob("*.json") if file.name != "head.json")
    return Results(head, [json.loads(file.read_text()) for file in files])


def write(results: Results) -> str:
    return "\n".join([_head(results), _table(results), *_parts(results)])


def _head(results: Results) -> str:
    head = "; ".join(f"{name} {value}" for name, value in results.head.items() if name != "quick")
    quick = "\n**A quick run: short outages, few samples.**\n" if results.head.get("quick") == "yes" else ""
    return (
        "# Registries: the failure contract on real servers\n\n"
        "Written by `conformance/registries/run.sh`; edits are lost.\n"
        "A real registry, the real program, a real Envoy, real back ends, all in a network namespace of their own.\n\n"
        f"Run: {head}.\nServers: {SERVERS}.\n{quick}"
        "A request *failed* when it had any other answer than the 200 of a back end. Times are seconds.\n"
        "*Over time*: each state of the source with the second, counted from the first request, at which it began.\n"
    )


def _table(results: Results) -> str:
    kinds = list(dict.fromkeys(one["kind"] for one in results.outcomes if one["kind"]))
    names = list(dict.fromkeys(one["name"] for one in results.outcomes))
    lines = ["## At a glance\n", "| scenario | " + " | ".join(kinds) + " | - |", "|---|" + "---|" * (len(kinds) + 1)]
    states = {(one["name"], one["kind"]): one["verdict"] for one in results.outcomes}
    for name in names:
        cells = [states.get((name, kind), "") for kind in [*kinds, ""]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _parts(results: Results) -> list[str]:
    parts: list[str] = []
    for name in dict.fromkeys(one["name"] for one in results.outcomes):
        turns = [one for one in results.outcomes if one["name"] == name]
        lines = [f"## {name}\n", f"{turns[0]['text']}\n", *_figures(turns)]
        for one in turns:
            who = one["kind"] or name
            if one["reason"]:
                lines.append(f"- {who}: **{one['verdict']}**: {_cell(one['reason'])}")
            if one["timeline"]:
                lines.append(f"- {who} over time: {_cell(one['timeline'])}")
        parts.append("\n".join(lines) + "\n")
    return parts


def _figures(turns: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for one in turns for name in one["figures"]))
    if not names:
        return []
    titles = [one["kind"] or "figure" for one in turns]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    for name in names:
        cells = [_figure(one, name) for one in turns]
        lines.append(f"| {_cell(name)} | " + " | ".join(cells) + " |")
    return [*lines, "", *_bounds(turns)]


def _figure(turn: dict[str, Any], name: str) -> str:
    """With its bound beside it, where it has one."""
    value = turn["figures"].get(name, "")
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    bound = turn.get("bounds", {}).get(name, "").partition(":")[0]
    return _cell(f"{text} ({bound})" if bound else text)


def _bounds(turns: list[dict[str, Any]]) -> list[str]:
    """Why each bound is what it is; said once for all the registries that share it."""
    reasons: dict[str, list[str]] = {}
    for one in turns:
        for text in dict.fromkeys(one.get("bounds", {}).values()):
            reasons.setdefault(text, []).append(one["kind"] or one["name"])
    return [f"- bound {_cell(text)} ({', '.join(who)})" for text, who in reasons.items()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
