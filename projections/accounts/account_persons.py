"""Who owns an account and who has a mandate of it: table, fold, reporting view, queries, and what a customer sees.

`SEEN` is the rule `domain.accounts.account.owners.allows` as SQL. The tables of accounts declare with it which of their
rows a customer reads (`projections.engine.listing.Visible`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from sqlalchemy import and_, bindparam, literal_column, or_, select

from domain.accounts.account.events import AccountOpened, MandateGiven, MandateWithdrawn, OwnerAdded, OwnerRemoved
from domain.accounts.account.state import INTERNAL_ROLES
from eventstore.postgres.arrays import BinaryArray, bool_array, int8_array, text_array
from projections.engine.columns import amount, code, flag, index, moment, number, read_table
from projections.engine.listing import AT, EVERYTHING, PERSON, Listed, Listing, Reader, Visible, readable
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.reporting import View

Standing = Literal["owner", "mandate", "none"]

# Table and view.

TABLE = read_table(
    "account_persons",
    "One row an account and person: what the person may do with the account. The ledger's own accounts have none.",
    code("account", "The account.", key=True),
    code("person", "The person.", key=True),
    code("standing", "owner, mandate, or none: the ownership or the mandate was taken back."),
    flag("may_see", "Whether the person may see the account, until `until`."),
    code("currency", "ISO 4217 code of the mandate. NULL without a mandate.", optional=True),
    amount(
        "move_up_to",
        "The most that a transfer or a hold of the person may take, until `until`. NULL: nothing, or an owner without "
        "such a bound.",
        optional=True,
    ),
    moment("until", "The first instant without the mandate, UTC. NULL: no end.", optional=True),
    number("position", "Position in the log of the event with which the person first got a standing."),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("account_persons_in_order", "position", unique=True),
    index("account_persons_of_person", "person", "position"),
)

VIEW = View(
    TABLE,
    "One row an account and person: what the person may do with the account. Amounts in major units.",
    (
        "account",
        "person",
        "standing",
        "may_see",
        "currency",
        "move_up_to",
        "until",
        "position",
        "last_position",
        "last_at",
    ),
)

# Fold.

_Event = AccountOpened | OwnerAdded | OwnerRemoved | MandateGiven | MandateWithdrawn
_Means = tuple[Standing, bool, str | None, str | None, str | None]
"""standing, may_see, currency, and as text move_up_to and until."""
_OWNER: _Means = ("owner", True, None, None, None)
_NONE: _Means = ("none", False, None, None, None)


def _means(event: _Event) -> _Means:
    """What the person of the event may do after it. It does not depend on what came before."""
    match event:
        case AccountOpened() | OwnerAdded():
            return _OWNER
        case OwnerRemoved() | MandateWithdrawn():
            return _NONE
        case MandateGiven():
            up_to, until = event.move_up_to, event.until
            return (
                "mandate",
                event.may_see,
                event.currency,
                None if up_to is None else str(up_to),
                None if until is None else until.isoformat(),
            )


def fold(events: Iterable[RecordedEvent]) -> tuple[BinaryArray, ...]:
    """The last event of each account and person, as parameters. No parameter if there is none."""
    rows: dict[tuple[str, str], tuple[_Means, int, int, str]] = {}
    for position, at, event in events:
        if isinstance(event, AccountOpened):
            if event.type in INTERNAL_ROLES:
                continue
            key = event.originator_id, event.owner
        else:
            key = event.originator_id, event.person
        first = rows[key][1] if key in rows else position
        rows[key] = _means(event), first, position, at
    if not rows:
        return ()
    keys = sorted(rows)
    standing, may_see, currency, move_up_to, until = zip(*(rows[key][0] for key in keys), strict=True)
    return (
        text_array([account for account, _ in keys]),
        text_array([person for _, person in keys]),
        text_array(standing),
        bool_array(may_see),
        text_array(currency),
        text_array(move_up_to),
        text_array(until),
        int8_array([rows[key][1] for key in keys]),
        int8_array([rows[key][2] for key in keys]),
        text_array([rows[key][3] for key in keys]),
    )


def write(connection: Connection[Any], parameters: tuple[BinaryArray, ...], cache: FoldCache) -> None:
    """Insert the rows that are new, and set the others."""
    if parameters:
        connection.execute(_SET, parameters)


_SET = """
INSERT INTO account_persons (account, person, standing, may_see, currency, move_up_to, until, position, last_position,
                             last_at)
SELECT unnest(%s::text[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::boolean[]), unnest(%s::text[]),
       unnest(%s::text[])::bigint, unnest(%s::text[])::timestamptz, unnest(%s::bigint[]), unnest(%s::bigint[]),
       unnest(%s::text[])::timestamptz
ON CONFLICT (account, person) DO UPDATE
   SET standing = excluded.standing, may_see = excluded.may_see, currency = excluded.currency,
       move_up_to = excluded.move_up_to, until = excluded.until, last_position = excluded.last_position,
       last_at = excluded.last_at
"""

ACCOUNT_PERSONS = Projection(
    name="account_persons",
    area="accounts",
    events=(AccountOpened, OwnerAdded, OwnerRemoved, MandateGiven, MandateWithdrawn),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=fold,
    write=write,
)

# What a customer sees.

_T = readable(TABLE)
_P = _T.alias("p")
_IN_FORCE = and_(_P.c.person == bindparam(PERSON), or_(_P.c.until.is_(None), _P.c.until > bindparam(AT)))
SEEN = select(_P.c.account).where(_IN_FORCE, _P.c.may_see)
"""The accounts that the reader may see now."""
_KNOWN = select(_P.c.account).where(_IN_FORCE, _P.c.standing != literal_column("'none'"))
_OWNED = select(_P.c.account).where(_P.c.person == bindparam(PERSON), _P.c.standing == literal_column("'owner'"))

# Queries.


@dataclass(frozen=True, slots=True)
class AccountPersonRow:
    """What a person may do with an account; the amount in minor units."""

    account: str
    person: str
    standing: str
    may_see: bool
    currency: str | None
    move_up_to: int | None
    until: datetime | None
    position: int
    last_position: int
    last_at: datetime


ACCOUNT_PERSON_LIST = Listing(
    _T,
    AccountPersonRow,
    filters=("account", "person", "standing"),
    # An owner sees all persons of the account. Who has a mandate sees their own.
    visible=Visible(and_(_T.c.account.in_(_KNOWN), or_(_T.c.person == bindparam(PERSON), _T.c.account.in_(_OWNED)))),
)


def account_persons(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    account: str | None = None,
    person: str | None = None,
    standing: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[AccountPersonRow, int]:
    """Persons of accounts, in the order in which they first got a standing; `after` and `cursor` are positions."""
    filters = {"account": account, "person": person, "standing": standing, "after": after}
    return ACCOUNT_PERSON_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)
