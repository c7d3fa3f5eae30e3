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
    number("last_position", "Position in the log of the last transaction with an entry of that day."),
    storage="fillfactor = 80",  # the rows of the current days are changed again and again
)

OTHER_DAYS = read_table(
    "movements_booked_on_other_days",
    "One row an account, value date and another day of booking: the part of the movements that was not booked on its "
    "value date. Amounts in minor units.",
    code("account", "Public id of the account.", key=True),
    day("day", "The value date.", key=True),
    day("booked_on", "The day of booking, UTC.", key=True),
    number("entries", "Entries of that value date that were booked on that day."),
    total("debits", "Sum of the debits."),
    total("credits", "Sum of the credits."),
    number("first_position", "Position in the log of the first transaction with such an entry."),
    number("last_position", "Position in the log of the last one."),
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
