"""Opens the internal accounts, which the ledger itself keeps: cash, fees, revenue and so on, in each currency."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, get_args

from psycopg import Connection

from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.numbers import InternalRole, account_number
from domain.accounts.posting import internal_account
from eventstore.log.answers import ACCEPTED
from eventstore.log.numbers import Numbers
from eventstore.postgres.connect import connect
from workers.clock_and_ids import now
from workers.composition import WriteSide, system_principal, system_submission
from workers.settings import Settings

CURRENCIES: Final = ("EUR", "USD", "GBP", "CZK")
"""The currencies in which `daybook up` opens internal accounts."""
SYSTEM: Final = system_principal("system:daybook")


def open_internal_accounts(settings: Settings, side: WriteSide, currencies: tuple[str, ...]) -> None:
    """Open the internal accounts in these currencies, once. Raises `RuntimeError` if one is refused."""
    at = now()
    roles: tuple[InternalRole, ...] = get_args(InternalRole)
    with connect(settings.api_url(), application_name="numbers") as connection:
        numbers = Numbers(lambda: _kept_open(connection))
        submissions = [
            system_submission(
                SYSTEM,
                f"internal:{role}:{currency}",
                OpenAccount(
                    account=internal_account(side.log, role, currency),
                    number=account_number(role, numbers.next()),
                    type=role,
                    currency=currency,
                    owner=side.log,
                    name=f"{role} {currency}",
                    minimum=None,
                    maximum=None,
                    opened_on=date(at.year, at.month, at.day),
                ),
                f"internal {role} {currency}",
                side.log,
                at,
            )
            for currency in currencies
            for role in roles
        ]
    for answer in side.executor.execute(submissions):
        if answer.outcome is not ACCEPTED and answer.rule != "account_exists":
            raise RuntimeError(f"an internal account could not be opened: {answer.rule} {dict(answer.result)}")


@contextmanager
def _kept_open(connection: Connection[Any]) -> Iterator[Connection[Any]]:
    yield connection
