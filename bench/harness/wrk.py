"""Load over HTTP from the program wrk."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.harness.api_process import TOKEN
from bench.harness.load import Sample

SCRIPT = Path(__file__).with_name("requests.lua")


class MissingError(RuntimeError):
    """wrk is not installed."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load that wrk makes. `requests.lua` documents its parameters."""

    address: str
    connections: int
    accounts: Path
    path: str
    run: str
    seed: int
    zipf: float = 0.0
    reads: float = 0.0


def run(load: Load, seconds: float) -> Sample:
    """Run wrk in a closed loop on its connections. Raises `RuntimeError` if any answer was not a success."""
    program = shutil.which("wrk")
    if program is None:
        raise MissingError("wrk is needed for load over HTTP: install it (on Debian: apt-get install wrk)")
    whole = max(1, round(seconds))
    given = {name: getattr(load, name) for name in ("accounts", "path", "run", "seed", "zipf", "reads")}
    command = [
        *(program, "--threads", "1", "--connections", str(load.connections), "--duration", f"{whole}s"),
        *("--timeout", "10s", "--script", str(SCRIPT), load.address, "--"),
        *(f"{name}={value}" for name, value in {**given, "token": TOKEN}.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=whole + 60)
    if done.returncode:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stderr or done.stdout}")
    return parse(done.stdout)


def parse(output: str) -> Sample:
    """Parse the output of `done` in the script. Raises `RuntimeError` for refusals and broken connections."""
    lines = output.splitlines()
    result = next(orjson.loads(line.removeprefix("RESULT ")) for line in lines if line.startswith("RESULT "))
    if result["refused"] or result["broken"]:
        raise RuntimeError(f"{result['refused']} requests were refused and {result['broken']} connections broke")
    latencies: list[int] = []
    for line in lines:
        if line.startswith("LATENCY "):
            _, value, count = line.split()
            latencies += [int(value)] * int(count)
    # The rate is of all requests: the statistics of wrk may lack a latency, but never a request.
    return Sample(result["requests"], result["microseconds"] / 1e6, latencies, result["commands"])
