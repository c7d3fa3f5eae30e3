"""How transactions become rows of `transactions`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Connection

from domain.accounts.posting import TransactionPosted
from projections.accounts.transactions.tables import TABLE, VIEW
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.rows import NULL, copy_rows, copy_text, erasable
from projections.engine.writing import copy_target

_TARGET = copy_target(TABLE)


def fold(events: Iterable[RecordedEvent]) -> list[str]:
    """The rows of these transactions, as COPY reads them, in the order in which the table declares its columns."""
    lines = []
    for position, at, event in events:
        # Ids, sides and currencies have no characters that need escaping in JSON or COPY.
        entries = ",".join(
            [
                f'{{"account":"{e.account}","side":"{e.side}","amount":{e.amount},"currency":"{e.currency}"}}'
                for e in event.entries
            ]
        )
        described = _NOT_DESCRIBED if event.description is None else _described(event)
        lines.append(
            f"{event.originator_id}\t{event.kind}\t{event.value_date}\t{copy_text(event.reference)}\t{described}\t"
            f"[{entries}]\t{position}\t{at}\t{NULL}"
        )
    return lines


_NOT_DESCRIBED = f"{NULL}\t{NULL}\tf"


def _described(event: TransactionPosted) -> str:
    """The columns about the description, which most transactions do not have."""
    description, erased = erasable(event.description)
    return f"{copy_text(event.subject)}\t{copy_text(description)}\t{'t' if erased else 'f'}"


def write(connection: Connection[Any], lines: Sequence[str], cache: FoldCache) -> None:
    """Insert the rows."""
    copy_rows(connection, _TARGET, lines)


TRANSACTIONS = Projection(
    name="transactions",
    area="accounts",
    events=(TransactionPosted,),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=fold,
    write=write,
)
