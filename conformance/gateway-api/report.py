"""The suite's report as a table: report.py REPORT.yaml NAME=VALUE... (figures of the run)"""

from __future__ import annotations

import sys

import yaml

ORDER = ("GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP", "MESH-HTTP", "MESH-GRPC")


def main(path: str, figures: list[str]) -> None:
    with open(path, encoding="utf-8") as file:
        report = yaml.safe_load(file)
    print(write(report, dict(figure.split("=", 1) for figure in figures)), end="")


def write(report: dict, figures: dict[str, str]) -> str:
    profiles = sorted(report.get("profiles") or [], key=lambda profile: _place(profile["name"]))
    return "\n".join(part for part in (_head(report, figures), _table(profiles), _features(profiles), _tests(profiles, report)) if part)


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def _head(report: dict, figures: dict[str, str]) -> str:
    return (
        "# Gateway API conformance\n\n"
        f"Written by `{figures['command']}`; edits are lost. The suite's own report is the YAML file beside this one.\n\n"
        f"Day {report['date'][:10]}; Gateway API {report['gatewayAPIVersion']}, {report['gatewayAPIChannel']} channel; "
        f"isthmus {figures['isthmus']}, with the permissions of its ServiceAccount; Envoy {figures['envoy']}, "
        f"{figures['how']}; {figures['seconds']} s with the bed's start.\n\n"
        f"In all {figures['tests']}; below are those that the suite counts for a profile.\n"
    )


def _table(profiles: list[dict]) -> str:
    lines = ["| profile | core: passed | failed | skipped | extended: passed | failed | skipped | features: supported | not |", "|---" * 9 + "|"]
    for profile in profiles:
        extended = profile.get("extended") or {}
        cells = [profile["name"], *_counts(profile["core"]), *_counts(extended)]
        cells += [len(extended.get("supportedFeatures") or []), len(extended.get("unsupportedFeatures") or [])]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _counts(status: dict) -> list[int]:
    # The suite leaves out what is zero.
    counts = status.get("statistics") or {}
    return [counts.get(name, 0) for name in ("Passed", "Failed", "Skipped")]


def _features(profiles: list[dict]) -> str:
    lines = ["## Features not supported\n"]
    for profile in profiles:
        if missing := (profile.get("extended") or {}).get("unsupportedFeatures"):
            lines.append(f"- {profile['name']}: {', '.join(missing)}")
    return "\n".join(lines) + "\n" if len(lines) > 1 else ""


def _tests(profiles: list[dict], report: dict) -> str:
    parts = []
    for key, title in (("failedTests", "Failed"), ("skippedTests", "Skipped")):
        tests: dict[str, list[str]] = {}
        for profile in profiles:
            for kind in ("core", "extended"):
                for test in (profile.get(kind) or {}).get(key) or []:
                    tests.setdefault(test, []).append(f"{profile['name']} {kind}")
        if tests:
            parts.append(f"## {title}\n\n" + "\n".join(f"- {test} ({', '.join(where)})" for test, where in sorted(tests.items())) + "\n")
    if provisional := report.get("succeededProvisionalTests"):
        parts.append(f"## Provisional tests that passed\n\n{', '.join(sorted(provisional))}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
