"""Measures the import of the Czech bank's data, and a second import that finds every row imported."""

from __future__ import annotations

from time import perf_counter
from typing import get_args

from bench.harness import oracle
from bench.harness.ledger import write_side
from bench.harness.result import Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from domain.accounts.numbers import InternalRole
from eventstore.postgres.connect import connect
from workers.clock_and_ids import now
from workers.importers.czech_bank.importing import import_folder
from workers.importers.czech_bank.source import CURRENCY
from workers.importers.executing import Imported
from workers.internal_accounts import open_internal_accounts
from workers.tuning import tune_for_commands

FIRST, AGAIN = "import", "the same again"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """In each repetition, import into a fresh database, and then into the same database again."""
    rates: dict[str, list[float]] = {FIRST: [], AGAIN: []}
    checked: list[str] = []
    rows = 0
    for _ in range(settings.repetitions):
        with (
            server.database() as database,
            write_side(database) as side,
            connect(database.api_url, application_name="bench-import") as connection,
        ):
            open_internal_accounts(database.settings, side, (CURRENCY,))
            for kind, measured in rates.items():
                tune_for_commands()
                began = perf_counter()
                done = import_folder(side, connection, settings.czech_bank, now(), lambda step, count: None)
                rows = done.accounts + done.transactions
                measured.append(round(rows / (perf_counter() - began), 1))
                _check(done, rows if kind == AGAIN else 0)
            checked = oracle.check(database.url, rows + len(get_args(InternalRole)))
    return ScenarioResult(
        "import",
        "Importing the Czech bank",
        f"{rows} rows of accounts and transactions, read from their files, through the executor in one process. Again: "
        "a second run over the same files, which finds every row there and adds nothing.",
        [Measurement(kind, {"rows": rows}, "rows/s", measured) for kind, measured in rates.items()],
        checked=[*checked, "no row refused", "nothing doubled by the second run"],
    )


def _check(done: Imported, already: int) -> None:
    if not done.ok or done.already != already:
        raise oracle.WrongError(f"refused {done.refused}, {done.already} rows found there instead of {already}")
