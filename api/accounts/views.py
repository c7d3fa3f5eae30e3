"""Rows of accounts and transactions as clients see them: decimal strings and ISO dates."""

from __future__ import annotations

from typing import Any

from domain.money import show
from projections.accounts.accounts.queries import AccountRow
from projections.accounts.entries.queries import EntryRow
from projections.accounts.movements.queries import DailyBalance
from projections.accounts.transactions.queries import TransactionRow
from projections.accounts.trial_balance.queries import TrialBalance


def account_view(row: AccountRow) -> dict[str, Any]:
    c = row.currency
    return {
        "account": row.account,
        "number": row.number,
        "type": row.type,
        "currency": c,
        "owner": row.owner,
        "name": row.name,
        "name_erased": row.name_erased,
        "status": row.status,
        "reason": row.reason,
        "minimum": None if row.minimum is None else show(row.minimum, c),
        "maximum": None if row.maximum is None else show(row.maximum, c),
        "opened_on": row.opened_on,
        "balance": show(row.balance, c),
        "reserved": show(row.reserved, c),
        "available": show(row.available, c),
        "version": row.version,
        "entries": row.entries,
        "position": row.position,
    }


def entry_view(row: EntryRow) -> dict[str, Any]:
    c = row.currency
    return {
        "number": row.number,
        "transaction": row.transaction,
        "entry": row.entry,
        "side": row.side,
        "amount": show(row.amount, c),
        "currency": c,
        "balance_after": show(row.balance_after, c),
        "value_date": row.value_date,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def transaction_view(row: TransactionRow) -> dict[str, Any]:
    return {
        "transaction": row.transaction,
        "kind": row.kind,
        "value_date": row.value_date,
        "reference": row.reference,
        "description": row.description,
        "description_erased": row.description_erased,
        "entries": [
            {"account": e.account, "side": e.side, "amount": show(e.amount, e.currency), "currency": e.currency}
            for e in row.entries
        ],
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def trial_balance_view(balance: TrialBalance) -> dict[str, Any]:
    return {
        "balanced": balance.balanced,
        "totals": [
            {"currency": t.currency, "debits": show(t.debits, t.currency), "credits": show(t.credits, t.currency)}
            for t in balance.totals
        ],
        "lines": [
            {
                "currency": line.currency,
                "type": line.type,
                "debits": show(line.debits, line.currency),
                "credits": show(line.credits, line.currency),
                "balance": show(line.balance, line.currency),
            }
            for line in balance.lines
        ],
    }


def movement_view(row: DailyBalance) -> dict[str, Any]:
    c = row.currency
    return {
        "day": row.day,
        "currency": c,
        "opening": show(row.opening, c),
        "debits": show(row.debits, c),
        "credits": show(row.credits, c),
        "closing": show(row.closing, c),
        "entries": row.entries,
    }
