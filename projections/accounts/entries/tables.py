"""The table of entries and its reporting view."""

from __future__ import annotations

from projections.engine.columns import amount, code, day, moment, number, read_table, total
from projections.engine.reporting import View, last_position

TABLE = read_table(
    "entries",
    "One row a posting to an account, in the order of booking. Amounts in minor units. Rows are never changed.",
    code("account", "The account it was posted to.", key=True),
    number("number", "Its number within the account: 1, 2, 3 … in the order of booking.", key=True),
    code("transaction", "The transaction it is part of."),
    number("entry", "Its number within the transaction, from 1.", bits=16),
    code("side", "debit (lowers the balance) or credit (raises it)."),
    amount("amount", "Always positive."),
    code("currency", "ISO 4217 code."),
    day("value_date", "From which day on it counts."),
    total("balance_after", "Balance of the account right after it, in the order of booking; never changed afterwards."),
    number("position", "Position in the log of its transaction."),
    moment("recorded_at", "When it was recorded, UTC."),
)

VIEW = View(
    TABLE,
    "One row a posting to an account, in the order of booking. Amounts in major units.",
    (*TABLE.c.keys(), last_position("t.position")),
)
