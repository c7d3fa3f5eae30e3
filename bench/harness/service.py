"""Runs `daybook serve` in a separate process, and measures its start and its memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness.process import answers, running
from bench.harness.server import MASTER_KEY, Database
from workers.ports import free_port


@dataclass(frozen=True, slots=True)
class Service:
    """A running API without authentication. `ready_after` is the seconds from its start until it was ready."""

    host: str
    pid: int
    ready_after: float

    def resident_mib(self) -> float:
        """The resident memory of the process, in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise LookupError(f"process {self.pid} has no VmRSS")


@contextmanager
def running_service(database: Database) -> Iterator[Service]:
    """Run the API on log `main` of this database."""
    port = free_port()
    environment = {
        "DATABASE_URL": database.url,
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_AUTH": "off",
        "DAYBOOK_PORT": str(port),
        "DAYBOOK_LOG_LEVEL": "warning",
    }
    ready = f"http://127.0.0.1:{port}/v1/health/ready"
    began = time.monotonic()
    with running("workers.cli", "serve", environment=environment, ready=lambda: answers(ready)) as pid:
        yield Service(f"127.0.0.1:{port}", pid, time.monotonic() - began)
