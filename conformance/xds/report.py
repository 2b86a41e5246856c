"""REPORT.md: scenario by scenario, rule by rule, client by client."""

from __future__ import annotations

from dataclasses import dataclass, field

import rules
from case import ALL, Check, Outcome, Variant
from verdict import Verdict

# The worst of several decides.
WORST = (Verdict.FAIL, Verdict.NOT_RUN, Verdict.NOT_YET, Verdict.PASS, Verdict.NOT_APPLICABLE)
TRANSCRIPT_LINES = 40
TRANSCRIPT_WIDTH = 200


@dataclass
class Run:
    """Everything that one run found out."""

    versions: dict[str, str]
    results: dict[tuple[Check, Variant], Outcome] = field(default_factory=dict)
    # By version and variant.
    envoys: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    programs: dict[str, Outcome] = field(default_factory=dict)

    def outcomes(self) -> list[tuple[str, Outcome]]:
        """Each with what it is about."""
        played = [(f"{check.name} ({variant})", outcome) for (check, variant), outcome in self.results.items()]
        envoys = [(f"Envoy {version} ({form})", outcome) for (version, form), outcome in self.envoys.items()]
        return played + envoys + list(self.programs.items())

    def count(self, verdict: Verdict) -> int:
        return sum(outcome.verdict is verdict for _, outcome in self.outcomes())


def worst(outcomes: list[Verdict]) -> Verdict:
    return next((verdict for verdict in WORST if verdict in outcomes), Verdict.NOT_RUN)


def write(run: Run) -> str:
    parts = [_head(run), _scenarios(run), _rules(run), _clients(run), _reasons(run), _figures(run), _failures(run)]
    return "\n".join(part for part in parts if part)


def _head(run: Run) -> str:
    envoys = ", ".join(dict.fromkeys(version for version, _ in run.envoys))
    versions = "; ".join(f"{name} {version}" for name, version in (run.versions | {"Envoy": envoys}).items())
    counts = [f"{run.count(verdict)} {verdict.value}" for verdict in Verdict if run.count(verdict)]
    return (
        "# xDS conformance\n\nWritten by `conformance/xds/run.sh`; edits are lost.\n"
        "*Not yet*: the server says itself that it does not have it. Numbers are those of the rule list.\n\n"
        f"Versions: {versions}.\n\nChecks, each in each of its forms: {', '.join(counts)}.\n"
    )


def _scenarios(run: Run) -> str:
    lines = ["## Scenarios\n", "| # | given / when / then | " + " | ".join(map(str, ALL)) + " | rules |"]
    lines.append("|---|---|" + "---|" * (len(ALL) + 1))
    further = ["\n## Further checks\n", *lines[1:]]
    for check in dict.fromkeys(check for check, _ in run.results):
        cells = [run.results.get((check, variant)) for variant in ALL]
        shown = " | ".join(outcome.verdict.value if outcome else "" for outcome in cells)
        row = f"| {check.name} | {_cell(check.text)} | {shown} | {', '.join(map(str, check.rules))} |"
        (lines if check.name.isdigit() else further).append(row)
    return "\n".join([*_by_number(lines), *further]) + "\n"


def _by_number(lines: list[str]) -> list[str]:
    head, rows = lines[:3], lines[3:]
    return head + sorted(rows, key=lambda row: int(row.split("|")[1]))


def _rules(run: Run) -> str:
    lines = ["## Rules\n", "| rule | what | state | shown by |", "|---|---|---|---|"]
    for number, title in rules.TITLES.items():
        verdict, by = _rule(run, number)
        lines.append(f"| {number} | {_cell(title)} | {verdict.value} | {_cell(by)} |")
    return "\n".join(lines) + "\n"


def _rule(run: Run, number: int) -> tuple[Verdict, str]:
    verdicts: list[Verdict] = []
    by: list[str] = []
    for (check, _), outcome in run.results.items():
        if number in check.rules:
            verdicts.append(outcome.verdict)
            by.append(check.name if check.name.startswith("rule") else f"scenario {check.name}")
    if number in rules.EVERY_RESPONSE:
        broken = any(f"rule {number}:" in outcome.reason for _, outcome in run.outcomes())
        verdicts.append(Verdict.FAIL if broken else Verdict.PASS)
        by.append(rules.EVERY_RESPONSE[number])
    if number in rules.ENVOY_RULES:
        verdicts += [outcome.verdict for outcome in run.envoys.values()]
        by.append("Envoy")
    if number in rules.GRPC_RULES:
        verdicts += [outcome.verdict for outcome in run.programs.values()]
        by.append("gRPC clients")
    if verdicts:
        return worst(verdicts), ", ".join(dict.fromkeys(by))
    if number in rules.NOT_APPLICABLE:
        return Verdict.NOT_APPLICABLE, rules.NOT_APPLICABLE[number]
    if number in rules.NOT_YET:
        return Verdict.NOT_YET, rules.NOT_YET[number]
    return Verdict.NOT_RUN, "nothing shows it"


def _clients(run: Run) -> str:
    versions = list(dict.fromkeys(version for version, _ in run.envoys))
    lines = ["## Real clients\n"]
    if versions:
        lines.append("An Envoy passes if it converges, rejects no update, knows every field and misses no initial fetch.\n")
        lines += ["| Envoy | " + " | ".join(versions) + " | what |", "|---|" + "---|" * (len(versions) + 1)]
        for form in dict.fromkeys(form for _, form in run.envoys):
            outcomes = [run.envoys[version, form] for version in versions]
            shown = " | ".join(outcome.verdict.value for outcome in outcomes)
            # Of the last, which is the newest: the others have the same script.
            lines.append(f"| {form} | {shown} | {_cell(outcomes[-1].reason)} |")
        lines.append("")
    lines += ["| gRPC client | state | what |", "|---|---|---|"]
    for name, outcome in run.programs.items():
        lines.append(f"| {name} | {outcome.verdict.value} | {_cell(outcome.reason)} |")
    return "\n".join(lines) + "\n"


def _reasons(run: Run) -> str:
    lines = [
        f"- {name}: {outcome.reason}"
        for name, outcome in run.outcomes()
        if outcome.verdict in (Verdict.NOT_YET, Verdict.NOT_RUN)
    ]
    return "## Not yet, not run\n\n" + "\n".join(lines) + "\n" if lines else ""


def _figures(run: Run) -> str:
    lines = [
        f"- {check.name} ({variant}): {outcome.reason}"
        for (check, variant), outcome in run.results.items()
        if outcome.verdict is Verdict.PASS and outcome.reason
    ]
    return "## Figures\n\n" + "\n".join(lines) + "\n" if lines else ""


def _failures(run: Run) -> str:
    lines: list[str] = []
    for name, outcome in run.outcomes():
        if outcome.verdict is Verdict.FAIL:
            lines += [f"### {name}\n", f"{outcome.reason}\n"]
            if outcome.transcript:
                text = [line[:TRANSCRIPT_WIDTH] for line in outcome.transcript[-TRANSCRIPT_LINES:]]
                lines += ["```text", *text, "```\n"]
    return "## Failures\n\n" + "\n".join(lines) if lines else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
