"""`daybook serve` in a process of its own, whose start is timed and whose memory is looked at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness.server import MASTER_KEY, Database
from workers import settings

START_SECONDS, STOP_SECONDS = 60.0, 20.0
POLL_SECONDS = 0.01
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Service:
    """A running API without authentication. `ready_after`: seconds from its start until it said that it is ready."""

    host: str
    pid: int
    ready_after: float

    def resident_mib(self) -> float:
        """Memory of the process that is not shared with others or given back."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise LookupError(f"process {self.pid} has no VmRSS")


@contextmanager
def running_service(database: Database) -> Iterator[Service]:
    """The API on log `main` of this database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)} | {
        "DATABASE_URL": database.url,
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_AUTH": "off",
        "DAYBOOK_PORT": str(port),
        "DAYBOOK_LOG_LEVEL": "warning",
    }
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "workers.cli", "serve"], cwd=ROOT, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}/v1/health/ready", process)
        yield Service(f"127.0.0.1:{port}", process.pid, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the API process did not get ready (exit status {process.poll()})") from None
            time.sleep(POLL_SECONDS)
