"""Measures what limits and policies cost: the same transfers between accounts without any, and with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from math import inf
from random import Random
from time import perf_counter

from bench.harness import oracle
from bench.harness.ledger import CURRENCY, Ledger, running_ledger, submission, transfers
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.chart.nodes import AddNode
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.money import MAX_AMOUNT
from workers.tuning import tune_for_commands

PLAIN, LIMITED, HOT, HOT_LIMITED = (
    "without limits",
    "with every limit and policy",
    "without limits, one account on one side of each",
    "with every limit and policy, one account on one side of each",
)
ZIPF = {PLAIN: 0.0, LIMITED: 0.0, HOT: inf, HOT_LIMITED: inf}
ROUNDS = 4
"""Rounds in a repetition. A round has each kind once, so that all have the same share of fast moments."""
OF_PLAIN, OF_UNIFORM = 0.67, 0.5
_LIMITS = Limits(
    minimum=0,
    maximum=MAX_AMOUNT,
    overdraft=1,
    overdraft_until=date(9999, 12, 31),
    daily=MAX_AMOUNT,
    monthly=MAX_AMOUNT,
    hourly=MAX_AMOUNT,
    hourly_count=1_000_000,
    approve_above=MAX_AMOUNT,
)


def _limit(ledger: Ledger, accounts: Sequence[str]) -> None:
    """Give each account every limit and a node of the chart that names the kinds it takes."""
    ledger.execute([submission(AddNode("2000", "Customers", "liability", kinds=("deposit", "transfer")))])
    ledger.execute([submission(ChangeLimits(id, CURRENCY, _LIMITS, "bench")) for id in accounts])
    ledger.execute([submission(AttachAccount(id, "2000")) for id in accounts])


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure each kind of transfers in turn."""
    random = Random(settings.seed)
    rates: dict[str, list[float]] = {kind: [] for kind in ZIPF}
    with server.database() as plain_database, server.database() as limited_database:
        with running_ledger(plain_database) as plain, running_ledger(limited_database) as limited:
            of_plain, of_limited = plain.open_accounts(settings.accounts), limited.open_accounts(settings.accounts)
            policy = ChangePostingPolicy(36_500, None, {CURRENCY: MAX_AMOUNT})
            limited.execute([submission(policy, datetime.now(UTC))])
            _limit(limited, of_limited)
            sides = {PLAIN: (plain, of_plain), LIMITED: (limited, of_limited)}
            sides |= {HOT: sides[PLAIN], HOT_LIMITED: sides[LIMITED]}
            for kind in (PLAIN, LIMITED):  # a warm-up
                ledger, accounts = sides[kind]
                ledger.execute(transfers(accounts, settings.transfers // 4, random))
            for _ in range(settings.repetitions * ROUNDS):
                for kind, (ledger, accounts) in sides.items():
                    batch = transfers(accounts, settings.transfers // ROUNDS, random, zipf=ZIPF[kind])
                    tune_for_commands()  # as the API does; it also excludes these submissions from the collector
                    began = perf_counter()
                    ledger.execute(batch)
                    rates[kind].append(round(len(batch) / (perf_counter() - began), 1))
        checked = oracle.check(plain_database.url, plain.answered)
        checked += oracle.check(limited_database.url, limited.answered)
    result = ScenarioResult(
        "limits",
        "Transfers with limits and policies",
        f"Batches of {settings.transfers // ROUNDS} transfers between {settings.accounts} accounts on one executor, "
        "made before the clock starts. One log has accounts with a minimum alone. In the other one each account has "
        "every limit (overdraft, day, month, hour, number, approval) and a node of the chart with its kinds, and the "
        "posting policy has an amount that needs approval. No limit is reached.",
        [Measurement(kind, {}, "transfers/s", measured) for kind, measured in rates.items()],
        checked=[*dict.fromkeys(checked)],
    )
    medians = {kind: result.of(kind).median for kind in rates}
    result.comparisons.append(Comparison(f"{LIMITED} ÷ {PLAIN}", round(medians[LIMITED] / medians[PLAIN], 2), OF_PLAIN))
    result.comparisons.append(
        Comparison(
            "one account with limits ÷ uniform with limits",
            round(medians[HOT_LIMITED] / medians[LIMITED], 2),
            OF_UNIFORM,
        )
    )
    return result
