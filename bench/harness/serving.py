"""Runs one API process on a log with accounts that have money. Most scenarios over HTTP use it."""

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
    """A running API and the accounts of its log."""

    address: str
    accounts: Path  # file with one id on each line
    commands: int  # number of commands in the log at the start


@contextmanager
def serving(database: Database, folder: Path, settings: Settings) -> Iterator[Serving]:
    """Open the accounts on log `main` of this database, then run the API. It is stopped gracefully at the end."""
    with running_ledger(database) as ledger:
        accounts = ledger.open_accounts(settings.accounts)
    with running_api(database, folder) as address:
        yield Serving(address, keep(accounts, folder), ledger.answered)
