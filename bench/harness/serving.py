"""One API process over a ledger of accounts with money: what most scenarios over HTTP begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.harness.api_process import running_api
from bench.harness.ledger import keep, running_ledger
from bench.harness.server import Database
from bench.harness.settings import Settings


class Serving(NamedTuple):
    """An API and who may be paid through it."""

    address: str
    accounts: Path  # file with an id a line
    commands: int  # that the log has from the start


@contextmanager
def serving(database: Database, folder: Path, settings: Settings) -> Iterator[Serving]:
    """Open the accounts on log `main` of this database, then serve it; at the end the API is stopped gracefully."""
    with running_ledger(database) as ledger:
        accounts = ledger.open_accounts(settings.accounts)
    with running_api(database, folder) as address:
        yield Serving(address, keep(accounts, folder), ledger.answered)
