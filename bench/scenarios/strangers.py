"""Measures how fast `daybook-verify` checks the bundle of a whole log, and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Final

from bench.harness import oracle
from bench.harness.bundles import EVENTS_OF_TRANSFER, Written, write_bundle
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from workers import daybook_verify

LENGTHS: Final = (200_000, 400_000)
QUICK_LENGTHS: Final = (5_000, 10_000)
"""Transfers of each log. Both are too long to be sorted in memory; the second shows that memory does not grow."""
FASTEST: Final = 20_000
"""Events a second of a process that are asked for."""
MOST_GROWTH: Final = 1.5
"""Memory for the longer log, in that for the shorter one."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the verifier. The seconds are those of its processor time, and of the clock."""

    seconds: float
    clock: float
    megabytes: float


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Write the bundle of each log, then verify it in each repetition by a process of its own."""
    measured, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        for transfers in QUICK_LENGTHS if settings.quick else LENGTHS:
            path = Path(folder) / "log.jsonl"
            written = write_bundle(path, transfers, Random(settings.seed))
            runs = [verify(path, written) for _ in range(settings.repetitions)]
            events = written.events
            bytes_of_leaf = written.bytes_of_leaves // events
            parameters: dict[str, str | int] = {"events": events, "bytes of a leaf": bytes_of_leaf}
            rates = [round(events / one.seconds, 1) for one in runs]
            measured.append(Measurement("verify a bundle", parameters, "events/s of processor time", rates))
            rates = [round(events / one.clock, 1) for one in runs]
            measured.append(Measurement("verify a bundle, by the clock", parameters, "events/s", rates))
            megabytes = [round(one.megabytes, 1) for one in runs]
            memory.append(Measurement("memory at most", parameters, "MiB", megabytes))
    return ScenarioResult(
        "stranger",
        "The verifier of a stranger",
        "`daybook-verify` on the bundle of a whole log, which a program writes: transfers of two entries between "
        f"10,000 accounts, {EVENTS_OF_TRANSFER} events and the record of a command each. It is one process, and its "
        "start is part of the time. Memory is the most that the process had.",
        [*measured, *memory],
        [
            Comparison("events a second of a process", measured[-2].median, FASTEST),
            Comparison(
                "memory for the longer log, in that for the shorter one",
                round(memory[-1].median / memory[0].median, 2),
                at_most=MOST_GROWTH,
            ),
        ],
        ["the verifier finds nothing wrong, and has covered every event"],
    )


# The memory of a new process begins with that of the process that starts it, so a small one does.
_MEASURE: Final = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[1:], check=False).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]), file=sys.stderr)
"""


def verify(path: Path, written: Written) -> Run:
    """Verify a bundle by a process of its own. Raises `WrongError` if it does not hold."""
    program = [sys.executable, "-I", daybook_verify.__file__]
    options = ["--key", written.verifier, "--temp", str(path.parent), "--json"]
    began = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *program, str(path), *options], capture_output=True, text=True, check=True
    )
    clock = perf_counter() - began
    code, seconds, megabytes = json.loads(done.stderr)
    if code or f'"covered": {written.events},' not in done.stdout:
        raise oracle.WrongError(f"a sound bundle does not hold: {done.stdout}")
    return Run(seconds, clock, megabytes)
