"""The tables of the trial balance and its reporting view."""

from __future__ import annotations

from projections.engine.columns import code, number, read_table, total
from projections.engine.reporting import Shown, View

ACCOUNTS = read_table(
    "trial_balance_accounts",
    "The type of each account: a transaction names accounts, not their types. It never changes.",
    code("account", "Public id of the account.", key=True),
    code("type", "Type of the account, as in accounts.type."),
)

TABLE = read_table(
    "trial_balance",
    "Debits and credits per currency and type of account, minor units. Per currency the balances sum to zero.",
    code("currency", "ISO 4217 code.", key=True),
    code("type", "Type of account, as in accounts.type.", key=True),
    total("debits", "Sum of all debits to accounts of this type."),
    total("credits", "Sum of all credits to accounts of this type."),
    number("last_position", "Position in the log of the last transaction with an entry to such an account."),
    storage="fillfactor = 10",  # a handful of rows, changed with every page
)

VIEW = View(
    TABLE,
    "Debits and credits per currency and type of account, major units. Per currency the balances sum to zero.",
    (
        "currency",
        "type",
        "debits",
        "credits",
        Shown("balance", "Credits less debits.", "(t.credits - t.debits) * c.minor_unit"),
        "last_position",
    ),
)
