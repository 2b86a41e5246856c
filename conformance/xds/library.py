"""The library face under judgement: `examples/fixed.rs`, which serves what it is told on its standard input."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from server import free_port
from verdict import Failure, NotRun
from wire import Type


@dataclass
class Resource:
    kind: Type
    message: Message
    name: str = ""
    ttl_ms: int | None = None
    domains: list[str] = field(default_factory=list)
    refs: list[tuple[Type, str]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "type": self.kind.short,
            "name": self.name or getattr(self.message, self.kind.name_field),
            "body": base64.b64encode(self.message.SerializeToString(deterministic=True)).decode(),
            "domains": self.domains,
            "refs": [[kind.short, name] for kind, name in self.refs],
        }
        return out if self.ttl_ms is None else out | {"ttl_ms": self.ttl_ms}


class Library:
    def __init__(self, program: Path | None) -> None:
        if program is None:
            raise NotRun("the program examples/fixed was not given: --library")
        self.xds = f"127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [str(program), self.xds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def serve(self, resources: Iterable[Resource]) -> None:
        """All that there shall be. Returns when it is published."""
        assert self.process.stdin is not None and self.process.stdout is not None
        told = {"resources": [resource.told() for resource in resources]}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise Failure(f"the library server says {answer!r}")

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
