"""How transactions become rows of `transactions`.

Nearly all are posted at once and never change. Their rows are made here, as text for COPY. The others go the way of
declared read models: the pure functions of `tables` say what changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from psycopg import Connection

from domain.accounts.posting import TransactionPosted
from domain.accounts.transaction.events import TransactionPended
from projections.accounts.transactions.tables import PURE, TABLE, VIEW, WAITED
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.rows import NULL, copy_rows, copy_text, erasable
from projections.engine.writing import Row, Update, copy_lines, copy_target, in_order, updates

_POSTED = (
    "transaction",
    "status",
    "kind",
    "value_date",
    "reference",
    "subject",
    "description",
    "description_erased",
    "entries",
    "position",
    "recorded_at",
)
"""The columns of a transaction that is posted at once. The others are NULL."""
_TARGET = copy_target(TABLE, _POSTED)
_WHOLE = copy_target(TABLE)
_ACCOUNTS = copy_target(WAITED)


class Rows(NamedTuple):
    """The rows of a page, made for the server."""

    posted: list[str]  # posted at once, as lines for COPY
    pended: list[str]  # pending at first
    waited: list[str]  # the accounts of those
    updates: list[Update]


def fold(events: Iterable[RecordedEvent]) -> Rows:
    """The rows of these transactions, and the changes of others."""
    lines = []
    begun: dict[str, Row] = {}
    changed: dict[str, Row] = {}
    waited: list[str] = []
    for position, at, event in events:
        if type(event) is not TransactionPosted or event.originator_version > 1:
            _change(position, at, event, begun, changed)
            if type(event) is TransactionPended:
                accounts = dict.fromkeys(entry.account for entry in event.entries)
                waited += [f"{account}\t{event.originator_id}" for account in accounts]
            continue
        # Ids, sides and currencies have no characters that need escaping in JSON or COPY.
        entries = ",".join(
            [
                f'{{"account":"{e.account}","side":"{e.side}","amount":{e.amount},"currency":"{e.currency}"}}'
                for e in event.entries
            ]
        )
        described = _NOT_DESCRIBED if event.description is None else _described(event)
        lines.append(
            f"{event.originator_id}\tposted\t{event.kind}\t{event.value_date}\t{copy_text(event.reference)}\t{described}"
            f"\t[{entries}]\t{position}\t{at}"
        )
    return Rows(lines, copy_lines(TABLE, map(in_order(TABLE), begun.values())), waited, updates(TABLE, changed))


def _change(position: int, at: str, event: Any, begun: dict[str, Row], changed: dict[str, Row]) -> None:
    """Add an event that is not the posting of a transaction at once."""
    key = event.originator_id
    if isinstance(event, TransactionPended):
        row = {**PURE.blank, PURE.key: key, "last_position": position, "last_at": at}
        begun[key] = _encoded(PURE.starts[TransactionPended](row, event))
        return
    rows = begun if key in begun else changed
    row = {**rows.get(key, {}), "last_position": position, "last_at": at}
    rows[key] = _encoded(PURE.changes[type(event)](row, event))


_JSON = ("entries", "metadata", "reversed")


def _encoded(row: Row) -> Row:
    """The row with its JSON values as text."""
    texts = {
        name: orjson.dumps(row[name], option=orjson.OPT_SORT_KEYS).decode()
        for name in _JSON
        if row.get(name) is not None and not isinstance(row[name], str)
    }
    return {**row, **texts} if texts else row


_NOT_DESCRIBED = f"{NULL}\t{NULL}\tf"


def _described(event: TransactionPosted) -> str:
    """The columns about the description, which most transactions do not have."""
    description, erased = erasable(event.description)
    return f"{copy_text(event.subject)}\t{copy_text(description)}\t{'t' if erased else 'f'}"


def write(connection: Connection[Any], rows: Rows, cache: FoldCache) -> None:
    """Insert the rows, and change others. Raises `FoldError` for a change of a transaction that never began."""
    copy_rows(connection, _TARGET, rows.posted)
    copy_rows(connection, _WHOLE, rows.pended)
    copy_rows(connection, _ACCOUNTS, rows.waited)
    for update in rows.updates:
        update.run(connection)


TRANSACTIONS = Projection(
    name="transactions",
    area="accounts",
    events=tuple(dict.fromkeys((*PURE.starts, *PURE.changes))),
    read_tables=(TABLE, WAITED),
    reports=(VIEW,),
    fold=fold,
    write=write,
    version=2,
)
