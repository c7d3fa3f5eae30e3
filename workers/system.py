"""Commands that Daybook gives itself: system principals, their submissions, and the ledger's own accounts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import orjson

from domain.accounts.commands import OpenAccount
from domain.accounts.events import InternalRole
from domain.accounts.numbers import account_number
from domain.accounts.posting import internal_account
from domain.kernel import Context
from eventstore.answers import Answer, find_answers
from eventstore.executor import Submission
from workers.runtime import WriteSide

DAYBOOK = "system:daybook"
CURRENCIES = ("EUR", "USD", "GBP", "CZK")
ROLES: tuple[InternalRole, ...] = ("cash", "banks", "fees", "interest", "penalties", "revenue")
OPENED_ON = date(1970, 1, 1)  # the ledger's own accounts take any history


def submission(command: Any, actor: str, key: str, request: bytes, log: str, now: datetime) -> Submission:
    """A system principal's command; `request` is the hash of what it was made from."""
    metadata = {
        "actor": {"how": "system", "id": actor},
        "causation": None,
        "command": type(command).__name__,
        "correlation": key,
        "decided_at": now,
    }
    encoded = orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    return Submission(command, actor, key, request, encoded, Context(now, log))


def draw_numbers(ledger: WriteSide, count: int) -> list[int]:
    """So many values of the sequence that account numbers are made of."""
    rows = ledger.connection.execute("SELECT nextval('log.numbers') FROM generate_series(1, %s)", (count,))
    return [number for (number,) in rows.fetchall()]


def open_internal_accounts(
    ledger: WriteSide, now: datetime, currencies: Sequence[str] = CURRENCIES
) -> tuple[Answer, ...]:
    """Open the ledger's own accounts in these currencies; those it has opened before are left as they are."""
    wanted = {f"internal-account:{role}:{currency}": (role, currency) for currency in currencies for role in ROLES}
    known = find_answers(ledger.connection, ledger.log, [(DAYBOOK, key) for key in wanted])
    missing = {key: which for key, which in wanted.items() if (DAYBOOK, key) not in known}
    submissions = [
        submission(
            OpenAccount(
                internal_account(ledger.log_name, role, currency),
                account_number(role, number),
                role,
                currency,
                ledger.log_name,
                f"{role.capitalize()} {currency}",
                None,
                None,
                OPENED_ON,
            ),
            DAYBOOK,
            key,
            hashlib.sha256(key.encode()).digest(),
            ledger.log_name,
            now,
        )
        for (key, (role, currency)), number in zip(missing.items(), draw_numbers(ledger, len(missing)), strict=True)
    ]
    return tuple(ledger.executor.execute(submissions))
