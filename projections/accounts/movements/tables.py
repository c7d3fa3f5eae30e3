"""The table of movements and its reporting view."""

from __future__ import annotations

from projections.engine.columns import code, day, number, read_table, total
from projections.engine.reporting import Shown, View, last_position

_TO_THIS_DAY = "OVER (PARTITION BY t.account ORDER BY t.day)"

TABLE = read_table(
    "movements",
    "One row an account and value date with entries. Amounts in minor units.",
    code("account", "Public id of the account.", key=True),
    day("day", "The value date.", key=True),
    code("currency", "ISO 4217 code."),
    number("entries", "Entries of that value date, whenever they were booked."),
    total("debits", "Sum of the debits."),
    total("credits", "Sum of the credits."),
    number("first_position", "Position in the log of the first transaction with an entry of that day."),
    number("last_position", "Position in the log of the last transaction with an entry of that day."),
    storage="fillfactor = 80",  # the rows of the current days are changed again and again
)

VIEW = View(
    TABLE,
    "One row an account and value date with entries. Amounts in major units.",
    (
        "account",
        "day",
        "currency",
        "entries",
        "debits",
        "credits",
        Shown("net", "Credits less debits.", "(t.credits - t.debits) * c.minor_unit"),
        Shown(
            "closing",
            "Balance by value date at the end of the day. Changes when something is booked for an earlier day.",
            f"sum(t.credits - t.debits) {_TO_THIS_DAY} * c.minor_unit",
        ),
        last_position(f"max(t.last_position) {_TO_THIS_DAY}"),
    ),
)
