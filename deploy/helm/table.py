#!/usr/bin/env python3
"""Prints the README of a chart: what stands in README.head.md, and a table of its values.yaml.

A value is told by the comment `# --` above it (lines that go on start with `# `). No YAML library: two levels of care are
enough for a file that helm reads anyway.
"""

import pathlib
import re
import sys


def rows(text):
    """(key, default, prose) of each leaf, and of each branch that has prose of its own."""
    path, prose = [], None
    lines = text.splitlines()
    for i, line in enumerate(lines):
        bare = line.strip()
        if bare.startswith("# --"):
            prose = bare[4:].strip()
            continue
        if bare.startswith("#"):
            prose = f"{prose} {bare[1:].strip()}" if prose is not None else None
            continue
        found = re.match(r"( *)([\w.-]+):(?: (.*))?$", line)
        if not found:
            if bare:
                raise SystemExit(f"values.yaml:{i + 1}: neither a key nor a comment: {line}")
            prose = None
            continue
        depth = len(found[1]) // 2
        path = path[:depth] + [found[2]]
        if found[3] is not None or prose is not None:
            yield ".".join(path), found[3], prose or ""
        prose = None


def main(chart):
    folder = pathlib.Path(chart)
    sys.stdout.write((folder / "README.head.md").read_text())
    print("\n| value | default | |\n|---|---|---|")
    for key, default, prose in rows((folder / "values.yaml").read_text()):
        cell = "" if default is None else f"`{default}`"
        prose = prose.replace("|", "\\|")
        print(f"| `{key}` | {cell} | {prose} |".replace("  ", " "))


main(sys.argv[1])
