"""Measures transfers on few busy accounts. One side is drawn with a Zipf exponent, up to one account for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random
from time import perf_counter

from bench.harness import oracle, wrk
from bench.harness.api_process import running_api
from bench.harness.ledger import keep, running_ledger, transfers
from bench.harness.load import Sample, measurement
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from bench.peers import process as for_update
from bench.peers.for_update import POOL
from workers.tuning import tune_for_commands

EXPONENTS: Mapping[str, float] = {"0": 0.0, "0.5": 0.5, "1": 1.0, "1.5": 1.5, "2": 2.0, "∞": inf}
"""With 0 all accounts are equally likely. With ∞ one account is on one side of every transfer."""
UNIFORM, HOT = "0", "∞"
QUICK = (UNIFORM, HOT)
OF_UNIFORM, OF_PEER = 0.8, 5.0
CONNECTIONS = 64
ROUNDS = 4
"""Rounds in a repetition in process. A round has every exponent, so that all have the same share of fast moments."""
IN_PROCESS, OVER_HTTP, FOR_UPDATE = (
    "Daybook, in process, in batches",
    "Daybook over HTTP",
    "FOR UPDATE ledger over HTTP",
)


@dataclass
class _Http:
    """A ledger that takes transfers over HTTP, with the number of its answers."""

    address: str
    path: str
    accounts: Path
    answered: int = 0
    runs: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def load(self, exponent: str, seed: int, seconds: float) -> Sample:
        """Run wrk once."""
        self.runs += 1
        load = wrk.Load(
            self.address,
            CONNECTIONS,
            self.accounts,
            self.path,
            f"run-{self.runs}",
            seed + self.runs,
            EXPONENTS[exponent],
        )
        sample = wrk.run(load, seconds)
        self.answered += sample.answered
        return sample

    @property
    def unanswered(self) -> int:
        """The most requests that wrk did not wait for at the ends of its runs. They may be in the log."""
        return CONNECTIONS * self.runs


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure every exponent and system in turn, first in process and then over HTTP."""
    exponents = QUICK if settings.quick else tuple(EXPONENTS)
    in_process, checked = _in_process(settings, server, exponents)
    over_http, checked_over_http = _over_http(settings, server, exponents)
    result = ScenarioResult(
        "zipf",
        "Transfers that crowd on few accounts",
        f"Transfers between {settings.accounts} accounts with limits. One side of each is drawn with a Zipf exponent: "
        "at 0 all accounts alike, at ∞ always the same. In process: batches of "
        f"{settings.transfers // ROUNDS} on one executor, made before the clock starts. Over HTTP: one a request on "
        f"{CONNECTIONS} connections of wrk, closed loop, to one process of each system in turn; both processes run, "
        f"the other one idle. The FOR UPDATE ledger (`bench/peers/for_update.py`) is FastAPI and SQLAlchemy with up to "
        f"{POOL} threads and connections, keeps balances in a column, and asks for no token.",
        [
            *(
                Measurement(IN_PROCESS, {"exponent": exponent}, "transfers/s", rates)
                for exponent, rates in in_process.items()
            ),
            *(
                measurement(name, {"exponent": exponent}, "transfers/s", samples)
                for name, system in over_http.items()
                for exponent, samples in system.samples.items()
            ),
        ],
        checked=[*dict.fromkeys([*checked, *checked_over_http])],
    )
    result.comparisons.extend(_compare(result, exponents))
    return result


def _in_process(
    settings: Settings, server: Server, exponents: Sequence[str]
) -> tuple[dict[str, list[float]], list[str]]:
    """Measure in process. Returns the rates by exponent and the names of the checks."""
    random = Random(settings.seed)
    rates: dict[str, list[float]] = {exponent: [] for exponent in exponents}
    with server.database() as database, running_ledger(database) as ledger:
        accounts = ledger.open_accounts(settings.accounts)
        ledger.execute(transfers(accounts, settings.transfers // 4, random))  # a warm-up
        for _ in range(settings.repetitions * ROUNDS):
            for exponent, measured in rates.items():
                batch = transfers(accounts, settings.transfers // ROUNDS, random, zipf=EXPONENTS[exponent])
                tune_for_commands()  # as the API does; it also excludes these submissions from the collector
                began = perf_counter()
                ledger.execute(batch)
                measured.append(round(len(batch) / (perf_counter() - began), 1))
        conflicts = ledger.executor.statistics.conflicts
        checked = oracle.check(database.url, ledger.answered)
    if conflicts:
        raise oracle.WrongError(f"{conflicts} conflicts with a single writer")
    return rates, [*checked, "no conflicts with a single writer"]


def _over_http(settings: Settings, server: Server, exponents: Sequence[str]) -> tuple[dict[str, _Http], list[str]]:
    """Measure over HTTP. Returns both systems with their samples, and the names of the checks."""
    with server.database() as database, server.database(migrated=False) as theirs:
        with running_ledger(database) as ledger:
            accounts = ledger.open_accounts(settings.accounts)
        file = keep(accounts, server.folder)
        with (
            running_api(database, server.folder) as address,
            for_update.running_peer(theirs.url, accounts) as peer_address,
        ):
            ours = _Http(address, "/v1/transfers", file)
            peer = _Http(peer_address, for_update.TRANSFERS, file)
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                for exponent in exponents:
                    for system in (ours, peer):
                        sample = system.load(exponent, settings.seed, 2 * settings.seconds if repetition >= 0 else 1)
                        if repetition >= 0:
                            system.samples.setdefault(exponent, []).append(sample)
        checked = oracle.check(database.url, ledger.answered + ours.answered, unanswered=ours.unanswered)
        checked += for_update.check(theirs.url, peer.answered, peer.unanswered)
    return {OVER_HTTP: ours, FOR_UPDATE: peer}, [*checked, "no request refused, no connection broken"]


def _compare(result: ScenarioResult, exponents: Sequence[str]) -> Iterator[Comparison]:
    for name in (IN_PROCESS, OVER_HTTP):
        rates = {exponent: result.of(name, exponent=exponent).median for exponent in exponents}
        worst = min((exponent for exponent in exponents if exponent != UNIFORM), key=rates.__getitem__)
        ratio = round(rates[worst] / rates[UNIFORM], 2)
        yield Comparison(f"{name}: slowest exponent ({worst}) ÷ uniform", ratio, OF_UNIFORM)
    for exponent in exponents:
        ours, theirs = (result.of(name, exponent=exponent).median for name in (OVER_HTTP, FOR_UPDATE))
        what = f"Daybook ÷ FOR UPDATE ledger over HTTP, exponent {exponent}"
        yield Comparison(what, round(ours / theirs, 2), OF_PEER if exponent == HOT else None)
