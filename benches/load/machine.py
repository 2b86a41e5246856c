"""Programs on this machine: started with priority, watched, stopped; and what the machine itself was doing."""

from __future__ import annotations

import os
import platform
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NICE = -18
START_LIMIT = 120.0
STOP_LIMIT = 30.0
# No proxy of this machine's environment stands between us and a program on the loopback.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_given: set[int] = set()


class Trouble(Exception):
    """A program did not do what it is there for."""


def free_address() -> str:
    """An address of the loopback that nobody listens on, and that this run gives out once."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return f"127.0.0.1:{port}"


def request(url: str, method: str = "GET") -> str | None:
    """The body of a good answer; nothing otherwise."""
    try:
        with _http.open(urllib.request.Request(url, method=method), timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def many_files() -> None:
    """N streams are N open files, here and in what is started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def start(command: Sequence[str | Path], log: Path, piped: bool = False) -> subprocess.Popen[str]:
    """Starts a program in a session of its own and, as root, above other work.

    Where the kernel groups processes by session (autogroup), plain nice counts within the session only, so the session
    is raised as well.
    """
    pipe = subprocess.PIPE if piped else subprocess.DEVNULL
    with log.open("ab") as errors:
        output = subprocess.PIPE if piped else errors
        process = subprocess.Popen(
            [str(word) for word in command], stdin=pipe, stdout=output, stderr=errors, text=True, start_new_session=True
        )
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        group = Path(f"/proc/{process.pid}/autogroup")
        if group.exists():
            group.write_text(str(NICE))
    return process


def wait_ready(process: subprocess.Popen[str], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while request(url) is None:
        if process.poll() is not None:
            raise Trouble(f"the program behind {url} ended: {tail(log)}")
        if time.monotonic() > deadline:
            raise Trouble(f"{url} does not answer: {tail(log)}")
        time.sleep(0.05)


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-500:].strip() if log.exists() else ""


def description() -> str:
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores ({cpu}), Linux {platform.release()}"
