"""REPORT.md."""

from __future__ import annotations

from datetime import UTC, datetime

from case import Case


def write(cases: list[Case], version: str, seconds: float) -> str:
    passed = sum(case.passed for case in cases)
    today = datetime.now(UTC).date()
    parts = [
        "# The mesh\n\nWritten by `conformance/mesh/run.sh` (`make conformance-mesh`); edits are lost.\n\n"
        f"{today}, {version}, {passed} of {len(cases)} scenarios passed in {seconds / 60:.0f} minutes. "
        "Real Envoys before every application, in network namespaces with the capture rules of Isthmus; what scenarios are is in "
        "[README.md](README.md).\n",
        "| scenario | | checks | figures | s |\n|---|---|---|---|---|",
    ]
    for case in cases:
        good = sum(check.ok for check in case.checks)
        verdict = "passed" if case.passed else "**failed**"
        figures = "<br>".join(_cell(figure) for figure in case.figures)
        parts.append(f"| {case.name} | {verdict} | {good} of {len(case.checks)} | {figures} | {case.seconds:.0f} |")
    for case in cases:
        parts.append(f"\n## {case.name}\n\n{case.text}\n")
        for check in case.checks:
            said = f" ({_cell(check.said)})" if check.said else ""
            parts.append(f"- {'' if check.ok else '**failed**: '}{_cell(check.what)}{said}")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
