"""How transactions become rows of `entries`.

An account's last entry has its number and balance, so the table itself is the state. It is looked up by primary key for
each account that is not in the fold cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from psycopg import Connection

from domain.accounts.account.events import AccountCredited, AccountDebited
from domain.accounts.posting import TransactionPosted
from eventstore.postgres.arrays import text_array
from projections.accounts.entries.tables import TABLE, VIEW
from projections.engine.projection import FoldCache, Projection, RecordedEvent, StreamFold
from projections.engine.rows import copy_rows
from projections.engine.writing import copy_target

# The columns that depend on the account's state come first, so that the others can be written before it is known.
_TARGET = copy_target(
    TABLE,
    (
        "account",
        "number",
        "balance_after",
        "side",
        "amount",
        "currency",
        "entry",
        "transaction",
        "value_date",
        "position",
        "recorded_at",
    ),
)

_LAST = """
SELECT a.account, coalesce(e.number, 0), coalesce(e.balance_after, 0)::text
  FROM unnest(%s::text[]) AS a(account)
  LEFT JOIN LATERAL (
    SELECT number, balance_after FROM entries WHERE account = a.account ORDER BY number DESC LIMIT 1
  ) e ON true
"""

_ACCOUNT = itemgetter(0)

Posting = tuple[str, int, str]
"""Account, signed amount in minor units, and as text for COPY the columns that do not depend on the account's state."""


def fold(events: Iterable[RecordedEvent]) -> list[Posting]:
    """The postings of these transactions, sorted by account and order of booking, like the index."""
    postings: list[Posting] = []
    append = postings.append
    for position, at, event in events:
        # Only free text needs escaping. Ids, sides and currencies have no special characters.
        common = f"{event.originator_id}\t{event.value_date}\t{position}\t{at}"
        for number, entry in enumerate(event.entries, 1):
            amount, side = entry.amount, entry.side
            columns = f"{side}\t{amount}\t{entry.currency}\t{number}\t{common}"
            append((entry.account, amount if side == "credit" else -amount, columns))
    postings.sort(key=_ACCOUNT)  # stable
    return postings


def fold_streams(events: Iterable[RecordedEvent]) -> list[Posting]:
    """The same postings from the accounts' own streams.

    An entry's event follows that of its transaction at the distance of its number (`domain.accounts.posting.post`).
    """
    postings: list[Posting] = []
    for position, at, event in events:
        credit = type(event) is AccountCredited
        side, amount = "credit" if credit else "debit", event.amount
        columns = (
            f"{side}\t{amount}\t{event.currency}\t{event.entry}\t"
            f"{event.transaction}\t{event.value_date}\t{position - event.entry}\t{at}"
        )
        postings.append((event.originator_id, amount if credit else -amount, columns))
    postings.sort(key=_ACCOUNT)  # stable
    return postings


def write(connection: Connection[Any], postings: Sequence[Posting], cache: FoldCache) -> None:
    """Insert the postings with numbers and balances. Caches account → [number of its last entry, balance after it].

    A cached list is looked up once for each posting and then changed in place. With hundreds of thousands of accounts
    most of the time goes into these look-ups.
    """
    cache.bound()
    lasts = list(map(cache.get, map(_ACCOUNT, postings)))
    if None in lasts:
        unknown = list(dict.fromkeys([account for account, _, _ in postings if account not in cache]))
        for account, number, balance in connection.execute(_LAST, (text_array(unknown),), binary=True):
            cache[account] = [number, int(balance)]
        lasts = list(map(cache.get, map(_ACCOUNT, postings)))
    copy_rows(connection, _TARGET, _lines(postings, lasts))


def _lines(postings: Sequence[Posting], lasts: Sequence[Any]) -> Iterator[str]:
    for (account, amount, columns), last in zip(postings, lasts, strict=True):
        last[0] = number = last[0] + 1
        last[1] = balance = last[1] + amount
        yield f"{account}\t{number}\t{balance}\t{columns}"


ENTRIES = Projection(
    name="entries",
    area="accounts",
    events=(TransactionPosted,),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=fold,
    write=write,
    per_stream=StreamFold((AccountDebited, AccountCredited), fold_streams),
)
