"""Reading transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from psycopg import Connection
from sqlalchemy import (
    Boolean,
    CompoundSelect,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.sql.elements import ColumnElement

from domain.money import MAX_AMOUNT
from projections.accounts.account_persons import SEEN
from projections.accounts.accounts.tables import as_json
from projections.accounts.entries.tables import TABLE as ENTRIES
from projections.accounts.transactions.tables import TABLE, WAITED
from projections.engine.columns import COLLATION
from projections.engine.listing import (
    EVERYTHING,
    Listed,
    Listing,
    Reader,
    Visible,
    first_since,
    readable,
    with_pairs,
)


@dataclass(frozen=True, slots=True)
class TransactionEntry:
    """One line of a transaction; amount in minor units."""

    account: str
    side: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction, complete."""

    transaction: str
    kind: str
    value_date: date
    reference: str | None
    description: str | None
    description_erased: bool
    entries: tuple[TransactionEntry, ...]
    status: str
    parent: str | None
    relation: str | None
    template: str | None
    template_version: int | None
    late_for: date | None
    metadata: dict[str, str] | None
    awaits: str | None
    initiator: str | None
    decided_by: str | None
    expires_at: datetime | None
    reason: str | None
    reversed_by: str | None
    reversed: list[int] | None
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class EntryBetween:
    """An entry of a currency with an amount from `least` to `most`, both included, in minor units."""

    currency: str
    least: int = 0
    most: int = MAX_AMOUNT


def _entries(value: list[dict[str, Any]]) -> tuple[TransactionEntry, ...]:
    return tuple(TransactionEntry(**entry) for entry in value)


_T = readable(TABLE)
_E = readable(ENTRIES)
_W = readable(WAITED)
_FOLDED = table("checkpoints", column("projection"), column("position"), schema="read")
_UP_TO = (
    select(func.min(_FOLDED.c.position)).where(_FOLDED.c.projection == literal_column("'entries'")).scalar_subquery()
)


def _among(transactions: CompoundSelect[Any]) -> ColumnElement[bool]:
    """The condition that a transaction is one of these, which entries and the transactions that waited tell together.

    One of the two tables may be folded further than the other. What only one has yet is not listed: a client that polls
    by position would miss what the other adds before it.
    """
    return and_(_T.c.transaction.in_(transactions), _T.c.position <= _UP_TO)


# A pending transaction has no entries yet, and one that ended without being posted never gets any.
_BOOKED = select(_E.c.transaction)
_WAITED = select(_W.c.transaction)
_OF_ACCOUNT = union_all(
    _BOOKED.where(_E.c.account == bindparam("account")), _WAITED.where(_W.c.account == bindparam("account"))
)
_SEEN = union_all(_BOOKED.where(_E.c.account.in_(SEEN)), _WAITED.where(_W.c.account.in_(SEEN)))
_SEEN_OF_ACCOUNT = union_all(
    _BOOKED.where(_E.c.account.in_(SEEN), _E.c.account == bindparam("account")),
    _WAITED.where(_W.c.account.in_(SEEN), _W.c.account == bindparam("account")),
)
_LINE = func.json_array_elements(_T.c.entries).table_valued("line", with_ordinality="number", name="l").render_derived()
_ACCOUNT_OF_LINE = _LINE.c.line.op("->>")(literal_column("'account'"))
_SEEN_LINES = (
    select(func.json_agg(aggregate_order_by(_LINE.c.line, _LINE.c.number)))
    .where(_ACCOUNT_OF_LINE.in_(SEEN))
    .scalar_subquery()
)
# The other side of a payment is shown by its id; its amount is that of the own side. Of a transaction with more
# entries, such as a payroll, the reader sees their own.
_OF_TWO = func.json_array_length(_T.c.entries) == literal_column("2")
_SHOWN = {"entries": case((_OF_TWO, _T.c.entries), else_=_SEEN_LINES)}
_IS_BETWEEN = func.jsonb_path_exists(
    cast(_LINE.c.line, JSONB),
    literal_column("'$ ? (@.currency == $currency && @.amount >= $least && @.amount <= $most)'"),
    cast(bindparam("entry"), JSONB),
    type_=Boolean,
)
_WITH_ENTRY = exists().select_from(_LINE).where(_IS_BETWEEN)
_WITH_SHOWN_ENTRY = exists().select_from(_LINE).where(_IS_BETWEEN, or_(_OF_TWO, _ACCOUNT_OF_LINE.in_(SEEN)))
_PREFIX = bindparam("reference_prefix", type_=Text())
_END_OF_CODES: ColumnElement[str] = literal_column("E'\\x7f'")
_IDS = bindparam("transactions", type_=ARRAY(Text(collation=COLLATION)))
TRANSACTION = Listing(
    _T,
    TransactionRow,
    filters=("transaction",),
    convert={"entries": _entries},
    # `entries` has no index on transactions, and the row has its own lines.
    visible=Visible(exists().select_from(_LINE).where(_ACCOUNT_OF_LINE.in_(SEEN)), _SHOWN),
)
TRANSACTIONS = Listing(
    _T,
    TransactionRow,
    filters=("kind", "reference", "status", "parent", "initiator"),
    conditions={
        "account": _among(_OF_ACCOUNT),
        "value_from": _T.c.value_date >= bindparam("value_from"),
        "value_until": _T.c.value_date <= bindparam("value_until"),
        "recorded_from": _T.c.position >= first_since(_T, "recorded_from"),
        "recorded_before": _T.c.position < first_since(_T, "recorded_before"),
        # Codes have no sign from U+007F on.
        "reference_prefix": and_(_T.c.reference >= _PREFIX, _T.c.reference < _PREFIX.concat(_END_OF_CODES)),
        "metadata": with_pairs(_T.c.metadata),
        "transactions": _T.c.transaction == func.any(_IDS),
        "entry": _WITH_ENTRY,
    },
    convert={"entries": _entries},
    # The filter by account finds what is seen for that account: it does not tell who else has an entry. That by an
    # entry looks at the entries that are shown.
    visible=Visible(
        _among(_SEEN),
        _SHOWN,
        {"account": _among(_SEEN_OF_ACCOUNT), "entry": and_(_among(_SEEN), _WITH_SHOWN_ENTRY)},
    ),
)


def transaction(connection: Connection[Any], transaction: str, *, reader: Reader = EVERYTHING) -> TransactionRow | None:
    """One transaction by its id."""
    return TRANSACTION.one(connection, reader=reader, transaction=transaction)


def transactions(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    account: str | None = None,
    kind: str | None = None,
    reference: str | None = None,
    status: str | None = None,
    parent: str | None = None,
    value_from: date | None = None,
    value_until: date | None = None,
    reference_prefix: str | None = None,
    initiator: str | None = None,
    recorded_from: datetime | None = None,
    recorded_before: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
    entry: EntryBetween | None = None,
    among: Sequence[str] | None = None,
    after: int | None = None,
    cursor: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[TransactionRow, int]:
    """Transactions in the order of the log, or the other way round.

    `after` is a position: only transactions that the log has after it. `cursor` is the position of the last one of the
    page before, whichever the direction. The value dates are bounds included. `account`: only those with an entry of
    it, posted or waiting, as far as `entries` is folded. `entry`: those that have such an entry, which the reader sees;
    no index finds it. `among`: those of these ids.
    """
    between = None if entry is None else {"currency": entry.currency, "least": entry.least, "most": entry.most}
    filters = {
        "account": account,
        "kind": kind,
        "reference": reference,
        "status": status,
        "parent": parent,
        "value_from": value_from,
        "value_until": value_until,
        "reference_prefix": reference_prefix,
        "initiator": initiator,
        "recorded_from": recorded_from,
        "recorded_before": recorded_before,
        "metadata": as_json(metadata) if metadata else None,
        "entry": None if between is None else orjson.dumps(between).decode(),
        "transactions": None if among is None else list(among),
        "after": after,
    }
    return TRANSACTIONS.read(connection, filters, limit, cursor=cursor, newest_first=newest_first, reader=reader)
