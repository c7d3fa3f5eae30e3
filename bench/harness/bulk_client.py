"""Sends batches of transfers from separate processes (`python -m bench.harness.bulk_client`), which the caller starts.

The bodies are made before the clock starts. Each connection sends its batches one after the other.
"""

from __future__ import annotations

import http.client
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from time import perf_counter

import orjson

from bench.harness import process
from bench.harness.api_process import TOKEN
from bench.harness.load import Sample

ACCEPTED = b'"status":201'


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send on each connection: `batches` batches of `size` transfers, as lines or as an array."""

    address: str
    accounts: str  # file with one id on each line
    name: str  # of the run; part of every key
    seed: int
    connections: int
    batches: int
    size: int
    lines: bool


def run(*plans: Plan) -> Sample:
    """Send all batches, each plan from a separate process. Measure from the first batch to the last answer of all.

    Raises `subprocess.CalledProcessError` if any transfer was not accepted.
    """
    with ThreadPoolExecutor(len(plans)) as pool:
        answered = list(pool.map(lambda plan: process.ask("bench.harness.bulk_client", asdict(plan)), plans))
    seconds = max(one["ended"] for one in answered) - min(one["began"] for one in answered)
    return Sample(
        sum(one["accepted"] for one in answered), seconds, [took for one in answered for took in one["latencies_us"]]
    )


def _bodies(plan: Plan, connection: int) -> list[bytes]:
    accounts = Path(plan.accounts).read_text().split()
    random = Random(f"{plan.seed}/{connection}")
    made = []
    for batch in range(plan.batches):
        items = []
        for number in range(plan.size):
            source, target = random.sample(accounts, 2)
            body = {"source": source, "target": target, "amount": "0.01", "currency": "EUR"}
            items.append({"key": f"{plan.name}-{connection}-{batch}-{number}", "path": "/v1/transfers", "body": body})
        made.append(b"\n".join(map(orjson.dumps, items)) if plan.lines else orjson.dumps(items))
    return made


def _send(plan: Plan, bodies: list[bytes]) -> list[float]:
    connection = http.client.HTTPConnection(plan.address.removeprefix("http://"))
    kind = "application/x-ndjson" if plan.lines else "application/json"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    took = []
    for body in bodies:
        began = perf_counter()
        connection.request("POST", "/v1/batches", body, headers)
        response = connection.getresponse()
        answers = response.read()
        took.append(perf_counter() - began)
        if response.status != 200 or answers.count(ACCEPTED) != plan.size:
            raise SystemExit(f"{response.status}, {answers.count(ACCEPTED)} of {plan.size}: {answers[:500]!r}")
    connection.close()
    return took


def _main() -> None:
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    bodies = [_bodies(plan, connection) for connection in range(plan.connections)]
    began = perf_counter()
    with ThreadPoolExecutor(plan.connections) as pool:
        took = [seconds for one in pool.map(lambda made: _send(plan, made), bodies) for seconds in one]
    ended = perf_counter()  # a clock of the system, the same in all processes
    accepted = plan.connections * plan.batches * plan.size
    latencies = [round(one * 1e6) for one in took]
    answered = {"accepted": accepted, "began": began, "ended": ended, "latencies_us": latencies}
    sys.stdout.buffer.write(orjson.dumps(answered))


if __name__ == "__main__":
    _main()
