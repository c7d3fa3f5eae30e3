"""Every known way to tamper with a database, and the checks of `verify` that find it.

Each case is SQL that the superuser runs on the database of `books.py`. If no check can find it, the case gives the
reason; the digest that an auditor keeps may still change. Add a case for every new table and column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eventstore.proof.notes import COSIGNATURE, Signer
from tests.support.sealing import KEY, ORIGIN
from tests.tampering.books import NEXT_KEY
from workers.verify.codes import CODES_FIT
from workers.verify.commands import REPEATABLE, UNITS_KEEP_RULES
from workers.verify.heads import HEADS
from workers.verify.interest import BALANCES
from workers.verify.keys import KEYS_OPEN
from workers.verify.log import ERASURES, NAMED, READABLE, REFUSALS
from workers.verify.periods import SEALS
from workers.verify.prices import IN_FORCE
from workers.verify.reconciliations import MATCHES
from workers.verify.schema import SCHEMA
from workers.verify.settlements import SETTLEMENTS
from workers.verify.snapshots import SNAPSHOTS_HOLD
from workers.verify.streams import STREAMS_KEEP_RULES
from workers.verify.tree import SEALED, SIGNED
from workers.verify.year_ends import YEAR_ENDS

DENSE, VERSIONS, UNITS, TIME = "positions are dense", "versions are contiguous", "units are whole", "time never falls"
SUMS, SHARES = "transactions sum to zero per currency", "entries and shares match one to one"
ANSWERS, ANSWERED, ENCODINGS = "answers have their events", "events have their answer", "encodings are one"
CHECKPOINTS, STATUS, TABLES = "a checkpoint", "not at the head", "a table differs"
"""Findings about the read tables, by their kind."""

CHANGES, SAME = "changes", "same"
"""Whether the digest changes."""


@dataclass(frozen=True)
class Case:
    """One way to tamper."""

    name: str
    sql: str
    found_by: frozenset[str]
    digest: str = SAME
    why_not: str | None = None  # the reason why no check can find it
    says: str | None = None  # in the sentence of a finding that has a position
    undo: str | None = None  # reverts changes of the server that are not in the database
    sealed_by: bytes | None = None  # then the tree is made anew, and signed by this key


def case(name: str, sql: str, *found_by: str, digest: str = SAME, undo: str | None = None) -> Case:
    """What changes the digest changes a leaf, and is not what was sealed."""
    sealed = {SEALED} if digest == CHANGES else set()
    return Case(name, sql, frozenset(found_by) | sealed, digest, undo=undo)


def appended(name: str, sql: str, *found_by: str) -> Case:
    """The digest changes, and what was sealed does not."""
    return Case(name, sql, frozenset(found_by), CHANGES)


def hidden(name: str, sql: str, why_not: str) -> Case:
    return Case(name, sql, frozenset(), SAME, why_not)


def forked(name: str, sql: str, *found_by: str, key: bytes | None = None) -> Case:
    """A consistent rewrite of the log, its tree and its heads: with a key all is sealed again, without one nothing."""
    return Case(name, f"{sql}; {NO_TREE}", frozenset(found_by), CHANGES, KEPT_HEAD, sealed_by=key)


REOPENED: Final = "stream = (SELECT stream FROM log.events WHERE type = 'account.reopened.v1')"
LAST_UNIT: Final = "unit_end = (SELECT max(position) FROM log.events)"
SHARE: Final = "position = (SELECT min(position) FROM log.events WHERE type = 'account.credited.v1')"
TRANSACTION: Final = "position = (SELECT min(position) FROM log.events WHERE type = 'transaction.posted.v1')"
OPENING: Final = "position = (SELECT max(position) FROM log.events WHERE type = 'account.opened.v1')"
YEAR_CLOSED: Final = "SELECT max(position) FROM log.events WHERE type = 'period.year_closed.v1'"
POST: Final = "position = (SELECT min(position) FROM log.events WHERE type = 'post.drafted.v1')"
ORDER: Final = "position = (SELECT min(position) FROM log.events WHERE type = 'order.placed.v2')"
UNIT_OF: Final = "unit_end = (SELECT last_position FROM log.commands WHERE key = '{}')"
KEPT_HEAD: Final = "log and tree were rewritten together: only a head that somebody kept or witnessed shows it"
NO_TREE: Final = """
TRUNCATE proof.trees, proof.tiles, proof.keys, proof.checkpoints, proof.heads, proof.head_tiles, proof.cosignatures
"""
OLD_REFUSAL: Final = "a refusal of the earlier era has no events; the report counts it as not covered"
NOTHING: Final = "nothing depends on it"
CACHE: Final = "it is a cache that this version does not use: it is made again"


def in_json(column: str, old: str, new: str, where: str) -> str:
    """Changes text within a payload or metadata."""
    return (
        f"UPDATE log.events SET {column} = convert_to(regexp_replace(convert_from({column}, 'UTF8'), '{old}', '{new}'),"
        f" 'UTF8') WHERE {where}"
    )


def in_result(old: str, new: str, key: str) -> str:
    """Changes text within a recorded result."""
    return (
        f"UPDATE log.commands SET result = convert_to(regexp_replace(convert_from(result, 'UTF8'), '{old}', '{new}'),"
        f" 'UTF8') WHERE key = '{key}'"
    )


LOGS: Final = [
    case("logs.epoch: raised", "UPDATE log.logs SET epoch = 2", CHECKPOINTS),
    case("logs.position: moved on", "UPDATE log.logs SET position = position + 1", DENSE, STATUS),
    case("logs.position: beyond all", "UPDATE log.logs SET position = 9000000000000000000", DENSE, STATUS),
    case("logs.position: moved back", "UPDATE log.logs SET position = position - 1", DENSE, digest=CHANGES),
    case(
        "logs.recorded_at: later by an hour", "UPDATE log.logs SET recorded_at = recorded_at + interval '1 hour'", TIME
    ),
    case(
        "logs.recorded_at: in 2099",
        "ALTER TABLE log.logs DROP CONSTRAINT head_time_near_the_clock; UPDATE log.logs SET recorded_at = '2099-01-01'",
        SCHEMA,
        TIME,
    ),
    case("logs.uuid: another", "UPDATE log.logs SET uuid = gen_random_uuid()", digest=CHANGES),
    hidden("logs: another log", "INSERT INTO log.logs (name) VALUES ('other')", "a database may have several logs"),
]

EVENTS: Final = [
    case(
        "events.log: of another log",
        f"UPDATE log.events SET log = 2 WHERE {LAST_UNIT}",
        ANSWERS,
        CHECKPOINTS,
        DENSE,
        SNAPSHOTS_HOLD,
        digest=CHANGES,
    ),
    case(
        "events.position: the last far beyond all",
        "UPDATE log.events SET position = 9000000000000000000 WHERE position = unit_end AND " + LAST_UNIT,
        ANSWERS,
        CHECKPOINTS,
        DENSE,
        NAMED,
        REPEATABLE,
        UNITS,
        digest=CHANGES,
    ),
    case(
        "events.position: the last moved on",
        f"UPDATE log.events SET position = position + 1 WHERE position = unit_end AND {LAST_UNIT}",
        ANSWERS,
        CHECKPOINTS,
        DENSE,
        NAMED,
        REPEATABLE,
        UNITS,
        digest=CHANGES,
    ),
    case(
        "events.unit_end: a transaction cut off its unit",
        f"UPDATE log.events SET unit_end = position WHERE {TRANSACTION}",
        ANSWERED,
        ANSWERS,
        REPEATABLE,
        SHARES,
        digest=CHANGES,
    ),
    case(
        "events.unit_end: beyond the last event of the unit",
        "UPDATE log.events SET unit_end = unit_end + 1 WHERE unit_end = (SELECT min(unit_end) FROM log.events)",
        ANSWERED,
        ANSWERS,
        NAMED,
        UNITS,
        digest=CHANGES,
    ),
    case(
        "events.stream: a share on another account",
        f"UPDATE log.events SET stream = (SELECT stream FROM log.events WHERE {OPENING}), version = 99 WHERE {SHARE}",
        REPEATABLE,
        SHARES,
        SNAPSHOTS_HOLD,
        VERSIONS,
        digest=CHANGES,
    ),
    case(
        "events.version: one left out",
        "UPDATE log.events SET version = version + 1 WHERE position = (SELECT max(position) FROM log.events WHERE"
        " type = 'order.cancelled.v1')",
        KEYS_OPEN,  # its reason is sealed to its version
        REPEATABLE,
        TABLES,
        VERSIONS,
        digest=CHANGES,
    ),
    case(
        "events.type: one that does not exist",
        f"UPDATE log.events SET type = 'order.sung.v1' WHERE {ORDER}",
        CHECKPOINTS,
        READABLE,
        STREAMS_KEEP_RULES,
        digest=CHANGES,
    ),
    case(
        "events.type: another of the catalogue",
        f"UPDATE log.events SET type = 'account.debited.v1' WHERE {SHARE}",
        SHARES,
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        digest=CHANGES,
    ),
    case(
        "events.recorded_at: earlier by a day",
        f"UPDATE log.events SET recorded_at = recorded_at - interval '1 day' WHERE {UNIT_OF.format('old-single')}",
        ANSWERS,
        TABLES,
        TIME,
        digest=CHANGES,
    ),
    case(
        "events.recorded_at: later by a microsecond, with the record of the command",
        f"UPDATE log.events SET recorded_at = recorded_at + interval '1 us' WHERE {UNIT_OF.format('atomic')};"
        " UPDATE log.commands SET recorded_at = recorded_at + interval '1 us' WHERE key = 'atomic'",
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.recorded_at: never",
        f"UPDATE log.events SET recorded_at = 'infinity' WHERE {LAST_UNIT}",
        ANSWERS,
        CHECKPOINTS,
        TIME,
        digest=CHANGES,
    ),
    case(
        "events.encoding: opaque",
        f"UPDATE log.events SET encoding = 1 WHERE {SHARE}",
        ANSWERS,
        ENCODINGS,
        NAMED,
        REPEATABLE,
        SHARES,
        VERSIONS,
        digest=CHANGES,
    ),
    case(
        "events.encoding: all opaque",
        "UPDATE log.events SET encoding = 1",
        ANSWERS,
        ENCODINGS,
        REFUSALS,
        TABLES,
        ERASURES,
        digest=CHANGES,
    ),
    case(
        "events.encoding: one that does not exist",
        f"UPDATE log.events SET encoding = 7 WHERE {UNIT_OF.format('atomic')}",
        ANSWERS,
        ENCODINGS,
        VERSIONS,
        digest=CHANGES,
    ),
    case(
        "events.payload: no JSON",
        f"UPDATE log.events SET payload = 'nonsense' WHERE {SHARE}",
        READABLE,
        SHARES,
        SNAPSHOTS_HOLD,
        digest=CHANGES,
    ),
    case(
        "events.payload: no UTF-8",
        f"UPDATE log.events SET payload = '\\xff' WHERE {POST}",
        CHECKPOINTS,
        READABLE,
        digest=CHANGES,
    ),
    case(
        "events.payload: JSON that is not of its type",
        f"UPDATE log.events SET payload = '{{}}' WHERE {ORDER}",
        CHECKPOINTS,
        READABLE,
        digest=CHANGES,
    ),
    case(
        "events.payload: the amount of a share",
        in_json("payload", '"amount":\\d+', '"amount":1', SHARE),
        SHARES,
        SNAPSHOTS_HOLD,
        digest=CHANGES,
    ),
    case(
        "events.payload: the amount of an entry",
        in_json("payload", '"amount":\\d+', '"amount":1', TRANSACTION),
        SHARES,
        SUMS,
        TABLES,
        STREAMS_KEEP_RULES,
        digest=CHANGES,
    ),
    case(
        "events.payload: the value date of a share",
        in_json("payload", "2026-11-21", "2026-11-20", SHARE),
        SHARES,
        digest=CHANGES,
    ),
    case(
        "events.payload: a transaction without entries",
        in_json("payload", '"entries":\\[.*\\]', '"entries":[]', TRANSACTION),
        SHARES,
        SUMS,
        TABLES,
        STREAMS_KEEP_RULES,
        digest=CHANGES,
    ),
    case(
        "events.payload: the reference of a transaction",
        in_json("payload", "ref-1", "ref-9", "true"),
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: a reference that is a sentence",
        in_json("payload", "ref-1", "for Ada", "true"),
        CODES_FIT,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: a reference that is not a text",
        in_json("payload", '"ref-2"', "7", "type = 'account.hold_placed.v2'"),
        CODES_FIT,
        READABLE,
        CHECKPOINTS,
        SNAPSHOTS_HOLD,
        digest=CHANGES,
    ),
    case(
        "events.payload: a value of metadata that is an e-mail address",
        in_json("payload", '"channel":"web"', '"channel":"ada@example.com"', ORDER),
        CODES_FIT,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: a key of metadata that is too long",
        in_json("payload", '"channel":"web"', f'"{"k" * 41}":"web"', ORDER),
        CODES_FIT,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: too many pairs of metadata",
        in_json("payload", '"channel":"web"', ",".join(f'"k{n}":"v"' for n in range(21)), ORDER),
        CODES_FIT,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: the sealed names of an order moved to another order",
        "UPDATE log.events e SET payload = convert_to(jsonb_set(convert_from(e.payload, 'UTF8')::jsonb, '{names}',"
        " convert_from(o.payload, 'UTF8')::jsonb->'names')::text, 'UTF8') FROM log.events o"
        " WHERE e.type = 'order.placed.v2' AND o.type = e.type AND e.position < o.position",
        KEYS_OPEN,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: a sealed title moved to another post",
        "UPDATE log.events e SET payload = o.payload FROM log.events o WHERE e.type = 'post.drafted.v1' AND o.type ="
        " 'post.drafted.v1' AND e.position < o.position",
        KEYS_OPEN,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: the reason of a deletion moved to a draft",
        "UPDATE log.events e SET payload = convert_to(jsonb_set(convert_from(e.payload, 'UTF8')::jsonb, '{title}',"
        " convert_from(o.payload, 'UTF8')::jsonb->'reason')::text, 'UTF8') FROM log.events o"
        f" WHERE e.{POST} AND o.type = 'post.deleted.v1'",
        KEYS_OPEN,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.metadata: no JSON",
        f"UPDATE log.events SET metadata = 'nonsense' WHERE {SHARE}",
        READABLE,
        SHARES,
        STREAMS_KEEP_RULES,
        UNITS,
        UNITS_KEEP_RULES,
        digest=CHANGES,
    ),
    case(
        "events.metadata: another actor",
        in_json("metadata", '"id":"tester"', '"id":"somebody"', LAST_UNIT),
        CHECKPOINTS,
        NAMED,
        digest=CHANGES,
    ),
    case(
        "events.metadata: another key",
        in_json("metadata", '"key":"last"', '"key":"first"', LAST_UNIT),
        CHECKPOINTS,
        NAMED,
        digest=CHANGES,
    ),
    case(
        "events.metadata: no key",
        in_json("metadata", ',"key":"last"', "", LAST_UNIT),
        CHECKPOINTS,
        NAMED,
        digest=CHANGES,
    ),
    case(
        "events.metadata: no key of an item",
        in_json("metadata", ',"key":"new-item"', "", UNIT_OF.format("new-item")),
        NAMED,
        digest=CHANGES,
    ),
    case(
        "events.metadata: another correlation of an old command",
        in_json("metadata", '"correlation":"old-single"', '"correlation":"x"', UNIT_OF.format("old-single")),
        NAMED,
        digest=CHANGES,
    ),
    case(
        "events.metadata: of one event of a unit",
        in_json("metadata", '"decided_at":"2026', '"decided_at":"2025', SHARE),
        UNITS,
        digest=CHANGES,
    ),
    case(
        "events.metadata: no batch of an item",
        in_json("metadata", "batch_01h", "box_01h", UNIT_OF.format("new-item")),
        NAMED,
        digest=CHANGES,
    ),
    case(
        "events.metadata: the batch of an item",
        in_json("metadata", "batch_01h", "batch_02h", UNIT_OF.format("new-item")),
        digest=CHANGES,
    ),
    case(
        "events.metadata: when it was decided, before its value date",
        in_json("metadata", '"decided_at":"2026', '"decided_at":"2025', UNIT_OF.format("new-item")),
        STREAMS_KEEP_RULES,
        digest=CHANGES,
    ),
    case(
        "events.metadata: when it was decided, after its value date",
        in_json("metadata", '"decided_at":"2026', '"decided_at":"2027', UNIT_OF.format("new-item")),
        digest=CHANGES,
    ),
    case(
        "events.metadata: the name of the command",
        in_json("metadata", '"Transfer"', '"Deposit"', UNIT_OF.format("new-item")),
        digest=CHANGES,
    ),
    case(
        "events.metadata: how the actor was known",
        in_json("metadata", '"token"', '"system"', UNIT_OF.format("new-item")),
        digest=CHANGES,
    ),
    case(
        "events: a transaction deleted",
        f"DELETE FROM log.events WHERE {TRANSACTION}",
        ANSWERED,
        ANSWERS,
        DENSE,
        REPEATABLE,
        SHARES,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events: a share deleted",
        f"DELETE FROM log.events WHERE {SHARE}",
        ANSWERS,
        DENSE,
        NAMED,
        REPEATABLE,
        SHARES,
        SNAPSHOTS_HOLD,
        UNITS,
        VERSIONS,
        digest=CHANGES,
    ),
    case(
        "events: the last deleted",
        "DELETE FROM log.events WHERE position = (SELECT max(position) FROM log.events)",
        ANSWERS,
        CHECKPOINTS,
        DENSE,
        NAMED,
        SHARES,
        UNITS,
        digest=CHANGES,
    ),
    case(
        "events: all deleted",
        "DELETE FROM log.events",
        ANSWERS,
        CHECKPOINTS,
        DENSE,
        SNAPSHOTS_HOLD,
        REFUSALS,
        ERASURES,
        digest=CHANGES,
    ),
    appended(
        "events: a unit without a command appended",
        "INSERT INTO log.events SELECT log, position + 1, position + 1, 'post_x', 1, 'post.archived.v1', recorded_at,"
        " 0, '{}', metadata FROM log.events WHERE position = unit_end AND "
        + LAST_UNIT
        + "; UPDATE log.logs SET position = position + 1",
        ANSWERED,
        STATUS,
        STREAMS_KEEP_RULES,
    ),
    case(
        "events: the last unit cut off, with its command and the head",
        f"DELETE FROM log.events WHERE {LAST_UNIT}; DELETE FROM log.commands WHERE key = 'last';"
        " UPDATE log.logs l SET (position, recorded_at) = (SELECT max(position), max(recorded_at) FROM log.events)",
        CHECKPOINTS,
        SNAPSHOTS_HOLD,
        digest=CHANGES,
    ),
    case(
        "events: one unit rewritten with its command, and all folded again",
        in_json("payload", "ref-1", "ref-9", "true")
        + "; UPDATE read.transactions SET reference = 'ref-9' WHERE reference = 'ref-1'",
        digest=CHANGES,
    ),
]

ITEM: Final = UNIT_OF.format("new-item")
PAID: Final = "type = 'order.paid.v1'"
CAPTURED: Final = "type = 'account.hold_captured.v1'"
PARTLY_CAPTURED: Final = "type = 'account.hold_partly_captured.v1'"
RELEASED: Final = "position = (SELECT min(position) FROM log.events WHERE type = 'account.hold_released.v1')"
SECOND_SLUG: Final = "stream = 'claim:slug:second-name'"
A_NUMBER: Final = "position = (SELECT max(position) FROM log.events WHERE stream LIKE 'claim:account-number:%')"

A_REFERENCE: Final = "stream LIKE 'claim:reference:%'"


def everywhere(old: str, new: str, where: str = "true") -> str:
    """Changes text wherever it stands in payloads."""
    changed = f"regexp_replace(convert_from(payload, 'UTF8'), '{old}', '{new}', 'g')"
    return f"UPDATE log.events SET payload = convert_to({changed}, 'UTF8') WHERE {where}"


def retyped(old: str, new: str) -> str:
    """Changes the type of events."""
    return f"UPDATE log.events SET type = '{new}' WHERE type = '{old}'"


def turned_into_metadata(where: str, amount: int) -> str:
    """Makes other metadata of the account out of its event with this amount."""
    payload = """convert_to('{"metadata":{"branch":"12"},"removed":[]}', 'UTF8')"""
    with_amount = f"convert_from(payload, 'UTF8') LIKE '%\"amount\":{amount},%'"
    changed = f"type = 'account.metadata_changed.v1', payload = {payload}"
    return f"UPDATE log.events SET {changed} WHERE {where} AND {with_amount}"


def forged(name: str, sql: str, says: str, *found_by: str) -> Case:
    """Events that are sound in their form. A finding has `says`."""
    return Case(f"rules: {name}", sql, frozenset({SEALED, *found_by}), CHANGES, says=says)


AGAINST_THE_RULES: Final = [
    forged(
        "an overdraft below the minimum",
        everywhere('"amount":75,', '"amount":99999900,'),
        "has 53.50 EUR available; debiting 999999.00 would leave -999945.50, below its minimum of 0.00.",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a balance above the maximum",
        everywhere('"maximum":null', '"maximum":100', "payload LIKE '%owner-2%'"),
        "has a balance of 0.00 EUR; crediting 50.00 would make 50.00, above its maximum of 1.00.",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a negative amount",
        everywhere('"amount":7,', '"amount":-7,', ITEM),
        "is for -7 minor units; an entry is for 1 to 999999999999999",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "an amount of zero",
        everywhere('"amount":7,', '"amount":0,', ITEM),
        "Entry 1 is for 0.00 EUR; an entry must be for 0.01 to 9999999999999.99.",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "entries in another currency than their accounts",
        everywhere("EUR", "USD", ITEM),
        "is kept in EUR; the amount is in USD.",
        CHECKPOINTS,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "entries in a currency that does not exist",
        everywhere("EUR", "ZZZ", ITEM),
        "has entries in 'ZZZ', which is no currency",
        CHECKPOINTS,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a line of a statement for another amount",
        everywhere('"amount":7013,', '"amount":7014,', "type = 'reconciliation.part_listed.v1'"),
        "its lines sum to 140.33, and it closes with 140.32",
        MATCHES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a match with an entry of another amount",
        everywhere('"amount":7019,', '"amount":7018,', "type = 'reconciliation.match_made.v1'"),
        "has another difference than 0",
        MATCHES,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a match with an entry that does not exist",
        everywhere('"entry":2', '"entry":3', "type = 'reconciliation.match_made.v1'"),
        "and its unit claims others",
        MATCHES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a line that is matched twice",
        everywhere('"number":2', '"number":1', "type = 'reconciliation.lines_matched.v1'"),
        "is matched, and was matched by reconmch_",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a match of other lines than its unit matches",
        everywhere('"lines":\\[2\\]', '"lines":[1]', "type = 'reconciliation.match_made.v1'"),
        "has the lines [1], and its unit matches [2]",
        MATCHES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a match that is undone by another session",
        everywhere('"reconciliation":"recon_0', '"reconciliation":"recon_1', "type = 'reconciliation.match_undone.v1'"),
        "by another reconciliation than its own",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a session that is closed with lines left and no reason",
        in_json("payload", '"reason":"[^"]*"', '"reason":null', "type = 'reconciliation.closed.v1'"),
        "is closed with 1 lines left and no reason",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a session with another digest than its figures",
        everywhere('"digest":"[0-9a-f]{8}', '"digest":"00000000', "type = 'reconciliation.opened.v1'"),
        "and the figures of its lines are others",
        UNITS_KEEP_RULES,
    ),
    forged(
        "an abandoned session that keeps its statement",
        everywhere('"holder":"recon_0', '"holder":"recon_1', "type = 'claim.released.v1'"),
        "releases 0 of its claims",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a conversion that gives more than its rate",
        everywhere('"target_amount":947', '"target_amount":948', "type LIKE 'quote.%' OR type LIKE 'conversion.%'"),
        "1000 minor units of EUR do not come to 948 of CHF, with a spread of 2 and a remainder of 1",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a conversion between other accounts than those of its entries",
        everywhere('"source":"acct_', '"source":"acct_0', "type = 'conversion.made.v1'"),
        "whose entries are not those of its figures",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a deposit that calls itself a conversion",
        in_json("payload", '"kind":"deposit"', '"kind":"conversion"', TRANSACTION),
        "is posted as a conversion, and its unit makes none with it",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a quote that is used at another price",
        everywhere('"source_amount":1000', '"source_amount":1', "type = 'quote.used.v1'"),
        "is used for another price than it was given for",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "prices with a rate that was withdrawn",
        everywhere('"rate_number":3', '"rate_number":1', "type LIKE 'quote.%' OR type LIKE 'conversion.%'"),
        "rate 1 of rate:EUR:CHF was not in force at",
        IN_FORCE,
        TABLES,
    ),
    forged(
        "prices with a rate from somewhere else",
        everywhere('"rate_source":"ECB"', '"rate_source":"me"', "type LIKE 'quote.%' OR type LIKE 'conversion.%'"),
        "rate 3 of rate:EUR:CHF is 950000 less 25 from ECB, and the price has 950000 less 25 from me",
        IN_FORCE,
        TABLES,
    ),
    forged(
        "a quote that can be used for days",
        everywhere('"expires_at":"2026', '"expires_at":"2027', "type = 'quote.given.v1'"),
        "A quote is for 1 to 3600 seconds; this one is for 31536060.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a rate of zero",
        everywhere('"rate":940000', '"rate":0', "type = 'rate.set.v1'"),
        "The rate 0.000000 is out of bounds; a rate is 0.000001 to 999999999.999999.",
        STREAMS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a rate of another pair",
        everywhere('"counter":"CHF"', '"counter":"USD"', "type = 'rate.set.v1'"),
        "has a rate of 'EUR:USD'",
        STREAMS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a rate that is withdrawn twice",
        everywhere('"number":1', '"number":9', "type = 'rate.withdrawn.v1'"),
        "Rate 9 of EUR:CHF is neither in force nor to come.",
        STREAMS_KEEP_RULES,
        REPEATABLE,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "an order total that is not its lines",
        everywhere('"total":500', '"total":400'),
        "has a total of 400 minor units, and its lines come to 500",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a quantity of zero",
        everywhere('"quantity":2', '"quantity":0'),
        "Line 1 has a quantity of 0; a line is for 1 to 1000000.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a payment of another amount",
        everywhere('"amount":500', '"amount":400', PAID),
        "comes to 500 minor units of EUR, and 400 of EUR are paid",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a payment from another account",
        everywhere("acct_0", "acct_1", PAID),
        "which does not move 500 minor units of EUR from acct_1",
        TABLES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a payment without its transaction",
        everywhere("txn_0", "txn_1", PAID),
        "which its unit does not post",
        TABLES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a payment that is posted as a transfer",
        everywhere('"payment"', '"transfer"'),
        "which does not move 500 minor units of EUR from acct_0",
        SETTLEMENTS,
        TABLES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a claim whose holder changed without a release",
        retyped("claim.released.v1", "claim.taken.v1"),
        "took it without a release",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a claim that another than its holder releases",
        everywhere("post_0", "post_1", "type = 'claim.released.v1'"),
        "released it",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a batch that names an item twice",
        everywhere('"first":1001,', '"first":1000,', "type = 'batch.submitted.v1'"),
        "begins with item 1000, after 1000 items",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a batch that lost an item",
        everywhere('"items":1001,', '"items":1002,', "type = 'batch.submitted.v1'"),
        "names 1001 of its 1002 items",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "an item of a batch without its digest",
        everywhere('"payout-7"', "null", "type = 'batch.submitted.v1'"),
        "has not one digest for each of its keys",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a long batch that lost an item",
        everywhere('"items":3,', '"items":4,', "type = 'long_batch.opened.v1'"),
        "is started with 2 parts, 3 of 4 items",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a part of a long batch that names an item twice",
        everywhere('"first":3,', '"first":2,', "type = 'long_batch.part_received.v1'"),
        "begins with item 2, after 2 items",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a long batch that is started with a part more",
        everywhere('"parts":2', '"parts":3', "type = 'long_batch.started.v1'"),
        "is started with 3 parts, 3 of 3 items",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "an item of a long batch that became another",
        everywhere('"item":2', '"item":3', "type = 'long_batch.part_done.v1'"),
        "has unrecorded items that are not its own, in order",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a part of a long batch in which more was accepted",
        everywhere('"accepted":1,', '"accepted":2,', "type = 'long_batch.part_done.v1'"),
        "Part 1 has 2 items; outcomes of 3 were given.",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a long batch that hides a refusal at its end",
        everywhere('"refused":1,', '"refused":0,', "type = 'long_batch.finished.v1'"),
        "is finished with other counts than its parts have",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a long batch that expired early",
        everywhere('"lost"', '"expired"', "type = 'long_batch.ended.v1'"),
        "expires at",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a long batch that was stopped for another reason",
        "UPDATE log.events SET type = 'long_batch.ended.v1', payload = convert_to('{\"cause\":\"sender\"}', 'UTF8')"
        " WHERE type = 'long_batch.stopped.v1'",
        "only one that is running can be ended",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a slug that another post takes",
        everywhere("post_0", "post_1", SECOND_SLUG),
        "takes claim:slug:second-name, and its unit does not publish a post that explains it",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a number that another account takes",
        everywhere("acct_.", "acct_x", A_NUMBER),
        "and its unit does not open an account with that number",
        UNITS_KEEP_RULES,
    ),
    forged(
        "a unique reference that another transaction takes",
        everywhere("txn_.", "txn_x", A_REFERENCE),
        "and its unit does not post a transaction with that reference",
        UNITS_KEEP_RULES,
    ),
    forged(
        "a post published without its claim",
        everywhere("second-name", "third-name"),
        "is published, and its unit does not claim claim:slug:third-name for it",
        REPEATABLE,
        STREAMS_KEEP_RULES,
        TABLES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "an event on a stream of another aggregate",
        retyped("order.confirmed.v1", "post.archived.v1"),
        "post.archived.v1 belongs to the aggregate post, and ord_",
        CHECKPOINTS,
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a stream of no aggregate",
        "UPDATE log.events SET stream = 'x' || stream WHERE type = 'order.cancelled.v1'",
        "no aggregate has streams with names like xord_",
        CHECKPOINTS,
        KEYS_OPEN,
        REPEATABLE,
        STREAMS_KEEP_RULES,
        VERSIONS,
    ),
    forged(
        "an event of a type that no version has",
        retyped("order.confirmed.v1", "order.sung.v1"),
        "no event of type order.sung.v1 is known to this version",
        READABLE,
        STREAMS_KEEP_RULES,
        CHECKPOINTS,
    ),
    forged(
        "a mandate for nothing",
        "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), '\"move_up_to\":500',"
        " '\"move_up_to\":0'), 'UTF8') WHERE type = 'account.mandate_given.v1'",
        "A mandate is to move 0.01 to 9999999999999.99 EUR; this one is for 0.00.",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "an owner who is removed and was none",
        retyped("account.mandate_withdrawn.v1", "account.owner_removed.v1"),
        "prsn_2 is no owner of account",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a score that the risk rules do not give",
        in_json("payload", '"score":25', '"score":20', "type = 'account.assessed.v1'"),
        "has 20 points on",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "risk rules that would have blocked what happened",
        in_json("payload", '"block":70', '"block":25', "type = 'posting_policy.risk_rules_changed.v1'"),
        "the risk rules give 25 and block",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "an assessment that was taken away",
        in_json("payload", '"transaction":"txn_.', '"transaction":"txn_z', "type = 'account.assessed.v1'"),
        "has points by the risk rules on",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "risk rules whose points fall",
        in_json("payload", '"block":70', '"block":39', "type = 'posting_policy.risk_rules_changed.v1'"),
        "The points for monitor, verify and block do not fall; these are 20, 40 and 39.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a rule of kinds that is stricter than the postings after it",
        in_json("payload", '"transfer"', '"fee"', "type = 'chart.node_changed.v1'"),
        "is attached to node 1200, which takes deposit, fee; txn_",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a node that is removed with a child",
        in_json("payload", '"2000"', '"1000"', "type = 'chart.node_removed.v1'"),
        "1000 is removed at version 8, and has children",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a node that moves to where it is",
        in_json("payload", '"parent":null', '"parent":"1000"', "type = 'chart.node_moved.v1'"),
        "Node 1100 already is what it would be changed to.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "an account that is attached to another node than its unit counts",
        in_json("payload", '"node":"1200"', '"node":"1300"', "type = 'account.attached.v1'"),
        "and its unit does not count it there",
        SNAPSHOTS_HOLD,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "an account that is counted without being attached",
        in_json("payload", "acct_", "acct_x", "type = 'node.account_added.v1' AND stream = 'node:1200'"),
        "which its unit does not attach or detach",
        UNITS_KEEP_RULES,
    ),
    forged(
        "a limit that another amount used",
        everywhere('"amount":6107', '"amount":6108', "type = 'account.limit_used.v1'"),
        "takes 6107 minor units from acct_",
        UNITS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a limit that gets back more than was paid",
        everywhere('"amount":6006', '"amount":6007', "type = 'account.limit_returned.v1'"),
        "and gives 6007 back",
        UNITS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a limit that is lower than what was used of it",
        everywhere('"daily":80000', '"daily":6107', "type = 'account.limits_changed.v1'"),
        "has an outgoing limit of 61.07 EUR a day (UTC); 61.06 is used",
        STREAMS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a reversal above what was posted",
        everywhere("6106,6106", "6107,6107", "type = 'transaction.reversed.v1'"),
        "is reversed up to [6107, 6107] of [6106, 6106] minor units",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a reversal that takes nothing more back",
        everywhere("6106,6106", "6006,6006", "type = 'transaction.reversed.v1'"),
        "is reversed up to [6006, 6006] of [6106, 6106] minor units, after [6006, 6006]",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a reversal of less than what was paid back",
        everywhere("6006,6006", "6005,6006", "type = 'transaction.reversed.v1'"),
        "for [6005, 6006] minor units of its entries, which that does not undo",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a reversal that is posted as a transfer",
        everywhere('"kind":"reversal"', '"kind":"transfer"', "type = 'transaction.posted.v1'"),
        "which its unit does not post as a reversal, refund or chargeback",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a refund that reverses nothing",
        in_json("payload", '"kind":"deposit"', '"kind":"refund"', TRANSACTION),
        "is posted as a refund, and names no parent that it undoes",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a reversal of another transaction than its unit reverses",
        in_json("payload", '"parent":"txn_.', '"parent":"txn_z', "type = 'transaction.detailed.v1'"),
        "which its unit does not reverse",
        SETTLEMENTS,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "an approval by who asked for it",
        everywhere("prsn_approver", "prsn_clerk", "type = 'transaction.approved.v1'"),
        "prsn_clerk asked for txn_",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a rejection by who asked for it",
        everywhere("prsn_approver", "prsn_clerk", "type = 'transaction.rejected.v1'"),
        "prsn_clerk asked for txn_",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a pending transaction without its hold",
        everywhere('"hold":"txn_0', '"hold":"hold_0', "type = 'account.hold_placed.v2'"),
        "and reserves 0 there",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
        CHECKPOINTS,
    ),
    forged(
        "a pending transaction that reserves less than it takes",
        everywhere('"amount":6102', '"amount":6012', "type IN ('account.hold_placed.v2', 'account.hold_released.v1')"),
        "takes 6102 from acct_",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a pending transaction that is posted with other entries",
        everywhere('"amount":6101', '"amount":6011', "type = 'transaction.pended.v1'"),
        "is posted with another kind, reference or entries than it was reserved with",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a pending transaction that is posted and goes on to reserve",
        turned_into_metadata("type = 'account.hold_captured.v1'", 6_101),
        "waits no more, and its unit does not end what it reserves on acct_",
        STREAMS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a pending transaction that is cancelled and goes on to reserve",
        turned_into_metadata("type = 'account.hold_released.v1'", 6_102),
        "waits no more, and its unit does not end what it reserves on acct_",
        STREAMS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "one that waits for a person and is posted by a request",
        everywhere('"request"', '"approval"', "type = 'transaction.pended.v1'"),
        "waits for approval; it is posted once that is given",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "one that expired before its time",
        everywhere("T13:00:00Z", "T13:00:01Z", "type IN ('transaction.pended.v1', 'account.hold_placed.v2')"),
        "waits until 2026-11-21T13:00:01+00:00",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a transaction above the amount of four eyes that nobody approved",
        everywhere('"amount":50000', '"amount":1', "type = 'posting_policy.changed.v2'"),
        "By the limit of the posting policy, another person approves what is above 0.01",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a transaction above the amount that its account lets one person decide about",
        everywhere('"approve_above":50000', '"approve_above":6106', "type = 'account.limits_changed.v1'"),
        "takes 6107 from acct_",
        STREAMS_KEEP_RULES,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a policy that is stricter than the postings after it",
        """UPDATE log.events SET payload = '{"most_days_back":1}' WHERE type = 'posting_policy.changed.v1'""",
        "days before today, 2026-11-21 (UTC); the posting policy allows 1.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a policy out of bounds",
        """UPDATE log.events SET payload = '{"most_days_back":-1}' WHERE type = 'posting_policy.changed.v1'""",
        "A value date can be allowed 0 to 36500 days back; this is -1.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a policy that is created again",
        retyped("posting_policy.changed.v1", "posting_policy.created.v1"),
        "policy:posting is created again",
        STREAMS_KEEP_RULES,
        CHECKPOINTS,
    ),
    forged(
        "an account reopened that was not closed",
        retyped("account.unfrozen.v1", "account.reopened.v1"),
        "is frozen, not closed.",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a sweep below the minimum on an account that is not closed after it",
        retyped("account.closed.v1", "account.frozen.v1") + f" AND {REOPENED}",
        "below its minimum of 1.00.",
        KEYS_OPEN,
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
    ),
    forged(
        "metadata removed that were not there",
        everywhere('"removed":\\[\\]', '"removed":["none"]', "type = 'account.metadata_changed.v1'"),
        "has no metadata none that could be removed.",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a period that is closed before it is over",
        in_json("payload", '"ends_on":"2020-01-04"', '"ends_on":"2026-11-21"', "type = 'period.closed.v1'"),
        "A period is closed after its last day; 2026-11-21 is not before today, 2026-11-21 (UTC).",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a fee schedule with a percentage out of bounds",
        everywhere('"percentage":2500000', '"percentage":2500000000', "type = 'fee_schedule.defined.v1'"),
        "A percentage is from 0 to 1000; tier 1 has 2500.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a posting into a closed period",
        in_json("payload", '"ends_on":"2020-01-04"', '"ends_on":"2026-11-20"', "type = 'period.closed.v1'"),
        "The value date 2026-01-02 is closed: the period second closed the days up to 2026-11-20.",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a fee schedule that is revised under an older number",
        everywhere('"number":2', '"number":1', "type = 'fee_schedule.revised.v1'"),
        "fee-schedule:card has version 1 after 1",
        STREAMS_KEEP_RULES,
        REPEATABLE,
        CHECKPOINTS,
    ),
    forged(
        "a template that credits another amount than it debits",
        everywhere('"amount":"net"', '"amount":"gross"', "type = 'template.revised.v1'"),
        "The entries do not balance whatever the parameters are",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a seal with other figures",
        "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), ':100,', ':900,'), 'UTF8')"
        " WHERE type = 'period.sealed.v1'",
        "the seal of per_1 differs, debits and credits: EUR cash has 900 and 0 (accounts: 1), its entries 100 and 0",
        SEALS,
        TABLES,
    ),
    forged(
        "a seal with another number of accounts",
        in_json("payload", '"accounts":1', '"accounts":2', "type = 'period.sealed.v1'"),
        "EUR cash has 100 and 0 (accounts: 2), its entries 100 and 0 (1)",
        SEALS,
        TABLES,
    ),
    forged(
        "a seal with words instead of figures",
        in_json("payload", '"debits":100', '"debits":"much"', "type = 'period.sealed.v1'"),
        "EUR cash has 0 and 0 (accounts: 1), its entries 100 and 0 (1)",
        SEALS,
        READABLE,
        STREAMS_KEEP_RULES,
        CHECKPOINTS,
    ),
    forged(
        "a seal with the digest of other balances",
        in_json("payload", '"digest":"....', '"digest":"beef', "type = 'period.sealed.v1'"),
        "the seal of per_1 has the digest beef",
        SEALS,
        TABLES,
    ),
    forged(
        "a year that is closed with another amount",
        everywhere('"amount":31,', '"amount":32,', f"unit_end = ({YEAR_CLOSED})"),
        " has 31 and 32 is moved",
        YEAR_ENDS,
        SNAPSHOTS_HOLD,
        TABLES,
    ),
    forged(
        "a year that is closed without an account",
        in_json("payload", '"transactions":[^]]*]', '"transactions":[]', f"position = ({YEAR_CLOSED})"),
        " has 31 and 0 is moved",
        YEAR_ENDS,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a deposit that calls itself year_end",
        in_json("payload", '"kind":"deposit"', '"kind":"year_end"', TRANSACTION),
        "is of the kind year_end, and its unit closes no year with it",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a settlement of another amount",
        everywhere('"payments":5309', '"payments":5310'),
        "has 1 entries, 5310 paid and 0 given back; the log has 1, 5309 and 0",
        SETTLEMENTS,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a settlement with another fee",
        in_json("payload", '"fee":133', '"fee":132', "type = 'settlement.calculated.v1'"),
        "has a fee of 132 minor units on 5309 at 25000 millionths",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a settlement of a day that was settled before",
        in_json("payload", '"day":"[^"]*"', '"day":"2026-11-19"', "type = 'settlement_agreement.day_settled.v1'"),
        "is settled for 2026-11-19, and its next day is 2026-11-20",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a settlement that is paid to somebody else",
        in_json("payload", '"payout":"[^"]*"', '"payout":"acct_other"', "type = 'settlement.paid.v1'"),
        "whose entries are not those of its amounts",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a deposit that calls itself a settlement",
        in_json("payload", '"kind":"deposit"', '"kind":"settlement"', TRANSACTION),
        "is of the kind settlement, and its unit pays out no settlement with it",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "interest on another balance",
        in_json("payload", '"balance":30023', '"balance":30024', "type = 'interest.credited.v1'"),
        "is on other balances: 2026-10-27 has 30024, its entries 30023",
        BALANCES,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "interest at another rate",
        in_json("payload", '"rate":30000', '"rate":30001', "type = 'interest.terms_changed.v1'"),
        "its balances earn",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "interest that is credited to somebody else",
        in_json("payload", '"payout":"[^"]*"', '"payout":"acct_other"', "type = 'interest.credited.v1'"),
        "credits other amounts than interest:",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a reopening that another person approved",
        in_json("payload", "prsn_bob", "prsn_max", "type = 'period.reopened.v1'"),
        "per_2 is reopened, and prsn_max does not approve appr_8 in the unit",
        UNITS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a template whose amounts rest on each other",
        everywhere('"of":"gross"', '"of":"net"', "type = 'template.revised.v1'"),
        "Amounts rest on each other in a circle",
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a version of a template that is retired and never was",
        everywhere('"number":1', '"number":7', "type = 'template.retired.v1'"),
        "template:sale has no version 7 to retire",
        STREAMS_KEEP_RULES,
        REPEATABLE,
        TABLES,
    ),
    forged(
        "an event after closing",
        retyped("account.unfrozen.v1", "account.closed.v1"),
        "is closed; nothing can be posted to it or changed on it.",
        STREAMS_KEEP_RULES,
    ),
    forged(
        "an entry on a frozen account",
        'UPDATE log.events SET type = \'account.frozen.v1\', payload = \'{"owner": "owner-1", "reason": null}\''
        f" WHERE {RELEASED}",
        "is frozen; unfreeze it first.",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a hold captured that was not open",
        everywhere("hold_0", "hold_1", CAPTURED),
        "that could end",
        CHECKPOINTS,
        REPEATABLE,
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
    ),
    forged(
        "a hold captured for more than it reserves",
        everywhere('"amount":40', '"amount":20'),
        "reserves 20 minor units of EUR, and txn_",
        TABLES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a part of a hold captured that was not paid",
        everywhere('"amount":17', '"amount":16', PARTLY_CAPTURED),
        "16 minor units of EUR are captured of hold hold_",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a part captured that is the whole hold",
        everywhere('"amount":45', '"amount":17'),
        "and a part of 17 EUR is captured",
        SNAPSHOTS_HOLD,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
    forged(
        "a newer version of the rules than this program knows",
        in_json("metadata", '"rules":\\d+', '"rules":99', ITEM),
        "it was decided under version 99 of the rules",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "metadata without the time of the decision",
        in_json("metadata", '"decided_at"', '"decided"', UNIT_OF.format("old-single")),
        "does not say when and under which rules it was decided",
        STREAMS_KEEP_RULES,
        UNITS_KEEP_RULES,
    ),
    forged(
        "a revision left out",
        everywhere('"revision":2', '"revision":3'),
        "is at revision 1, and gets 3",
        REPEATABLE,
        STREAMS_KEEP_RULES,
        TABLES,
    ),
]
"""Events that are sound in their form, and that no decision could have made."""

COMMANDS: Final = [
    case(
        "commands.log: of another log", "UPDATE log.commands SET log = 2 WHERE key = 'last'", ANSWERED, digest=CHANGES
    ),
    case(
        "commands.actor: another",
        "UPDATE log.commands SET actor = 'somebody' WHERE key = 'last'",
        NAMED,
        digest=CHANGES,
    ),
    case("commands.key: another", "UPDATE log.commands SET key = 'first' WHERE key = 'last'", NAMED, digest=CHANGES),
    case(
        "commands.key: another of a batch item",
        "UPDATE log.commands SET key = 'x' WHERE key = 'new-item'",
        NAMED,
        digest=CHANGES,
    ),
    case(
        "commands.key: another of an old batch item",
        "UPDATE log.commands SET key = 'x' WHERE key = 'old-item'",
        digest=CHANGES,
    ),
    case(
        "commands.key: another of a refusal",
        "UPDATE log.commands SET key = 'x' WHERE key = 'refused'",
        NAMED,
        REFUSALS,
        digest=CHANGES,
    ),
    hidden(
        "commands.key: another of an old refusal",
        "UPDATE log.commands SET key = 'x' WHERE key = 'old-refusal'",
        OLD_REFUSAL,
    ),
    case(
        "commands.request_hash: cut",
        "UPDATE log.commands SET request_hash = '\\x01' WHERE key = 'last'",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.request_hash: another",
        "UPDATE log.commands SET request_hash = sha256('x') WHERE key = 'last'",
        digest=CHANGES,
    ),
    case(
        "commands.outcome: refused",
        "UPDATE log.commands SET outcome = 2, rule = 'same_account', first_position = NULL,"
        " last_position = NULL WHERE key = 'last'",
        ANSWERED,
        REPEATABLE,
        ANSWERS,
        digest=CHANGES,
    ),
    case(
        "commands.outcome: accepted without events",
        "UPDATE log.commands SET outcome = 1, rule = NULL WHERE key = 'refused'",
        REPEATABLE,
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands.outcome: another refusal",
        "UPDATE log.commands SET outcome = 3 WHERE key = 'refused'",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.status: one that is never given",
        "UPDATE log.commands SET status = 500 WHERE key = 'last'",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.status: 200 for 201",
        "UPDATE log.commands SET status = 200 WHERE key = 'last'",
        digest=CHANGES,
    ),
    case(
        "commands.rule: one that does not exist",
        "UPDATE log.commands SET rule = 'x' WHERE key = 'refused'",
        REPEATABLE,
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands.rule: another that exists",
        "UPDATE log.commands SET rule = 'slug_taken' WHERE key = 'refused'",
        REPEATABLE,
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands.result: garbage",
        "UPDATE log.commands SET result = 'nonsense' WHERE key = 'last'",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: no object",
        "UPDATE log.commands SET result = '[]' WHERE key = 'last'",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: empty", "UPDATE log.commands SET result = '{}' WHERE key = 'last'", REPEATABLE, digest=CHANGES
    ),
    case(
        "commands.result: another version",
        in_result('_([a-z0-9]+)":(\\d+)}', '_\\1":99}', "last"),
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: another transaction",
        in_result('"transaction":"txn_', '"transaction":"txn_0', "last"),
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: another transaction within an atomic batch",
        in_result('"transaction":"txn_', '"transaction":"txn_0', "atomic"),
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: balances of another account",
        in_result('"balances":\\{"acct_', '"balances":{"acct_0', "last"),
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: another balance",
        in_result('"balance":"[0-9.]+"', '"balance":"1.00"', "last"),
        digest=CHANGES,
    ),
    case(
        "commands.result: another hold",
        "UPDATE log.commands SET result = convert_to(regexp_replace(convert_from(result, 'UTF8'), '\"hold_',"
        " '\"hold_0'), 'UTF8') WHERE result LIKE '%\"hold\"%'",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: another slug",
        "UPDATE log.commands SET result = convert_to(replace(convert_from(result, 'UTF8'),"
        " 'first-name', 'other-name'), 'UTF8')",
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.result: figures of a refusal left out",
        "UPDATE log.commands SET result = '{}' WHERE key = 'refused'",
        REPEATABLE,
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands.result: other figures of a refusal",
        in_result('"amount":"[0-9.]+"', '"amount":"1.00"', "refused"),
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands.result: a failed expectation without versions",
        "UPDATE log.commands SET result = '{}' WHERE key = 'stale'",
        REPEATABLE,
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands.decided_position: beyond the head",
        "UPDATE log.commands SET decided_position = 1000000 WHERE key = 'refused'",
        ANSWERS,
        digest=CHANGES,
    ),
    case(
        "commands.decided_position: not before its events",
        "UPDATE log.commands SET decided_position = decided_position - 3 WHERE key = 'last'",
        ANSWERS,
        digest=CHANGES,
    ),
    case(
        "commands.decided_position: within a unit",
        "UPDATE log.commands SET decided_position = decided_position - 1 WHERE key = 'refused'",
        ANSWERS,
        digest=CHANGES,
    ),
    case(
        "commands.first_position: within the unit",
        "UPDATE log.commands SET first_position = first_position + 1 WHERE key = 'last'",
        ANSWERED,
        ANSWERS,
        digest=CHANGES,
    ),
    case(
        "commands.last_position: of another unit",
        "UPDATE log.commands SET first_position = first_position + 3, last_position = last_position + 3"
        " WHERE key = 'old-item'",
        ANSWERED,
        ANSWERS,
        REPEATABLE,
        digest=CHANGES,
    ),
    case(
        "commands.recorded_at: another",
        "UPDATE log.commands SET recorded_at = recorded_at - interval '1 day' WHERE key = 'last'",
        ANSWERS,
        digest=CHANGES,
    ),
    case(
        "commands.recorded_at: an earlier time of a refusal",
        "UPDATE log.commands SET recorded_at = recorded_at - interval '1 day' WHERE key = 'refused'",
        ANSWERS,
        digest=CHANGES,
    ),
    hidden(
        "commands.origin: another",
        "UPDATE log.commands SET origin = '127.0.0.1'",
        "it is deleted by age, so nothing may depend on it",
    ),
    case("commands: an accepted one deleted", "DELETE FROM log.commands WHERE key = 'last'", ANSWERED, digest=CHANGES),
    case("commands: all deleted", "DELETE FROM log.commands", ANSWERED, REFUSALS, digest=CHANGES),
    case(
        "commands: a refusal deleted",
        "DELETE FROM log.commands WHERE key = 'refused'",
        ANSWERED,
        REFUSALS,
        digest=CHANGES,
    ),
    hidden("commands: an old refusal deleted", "DELETE FROM log.commands WHERE key = 'old-refusal'", OLD_REFUSAL),
    case(
        "events.payload: another rule of a refusal",
        in_json("payload", '"rule":"below_minimum"', '"rule":"account_frozen"', UNIT_OF.format("refused")),
        REFUSALS,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: other figures of a refusal",
        in_json("payload", '"amount":"[0-9.]+"', '"amount":"1.00"', UNIT_OF.format("refused")),
        REFUSALS,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.payload: another actor of a refusal",
        in_json("payload", '"actor":"tester"', '"actor":"nobody"', UNIT_OF.format("refused")),
        REFUSALS,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "events.type: a refusal that is none",
        f"UPDATE log.events SET type = 'order.confirmed.v1' WHERE {UNIT_OF.format('refused')}",
        REFUSALS,
        STREAMS_KEEP_RULES,
        CHECKPOINTS,
        TABLES,
        digest=CHANGES,
    ),
    case(
        "commands: a refusal taken for an old one",
        "UPDATE log.commands SET first_position = NULL, last_position = NULL WHERE key = 'refused'",
        ANSWERS,
        ANSWERED,
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands: an accepted command taken for a refusal",
        "UPDATE log.commands SET outcome = 2, status = 422, rule = 'account_frozen',"
        " result = convert_to(json_build_object('account', 'x')::text, 'UTF8') WHERE key = 'last'",
        REFUSALS,
        digest=CHANGES,
    ),
    case(
        "commands: an answer copied to another key",
        "INSERT INTO log.commands SELECT log, actor, 'x', request_hash, outcome, status, rule, result,"
        " decided_position, first_position, last_position, recorded_at FROM log.commands WHERE key = 'last'",
        ANSWERED,
        NAMED,
        digest=CHANGES,
    ),
    hidden(
        "commands: an old refusal invented",
        "INSERT INTO log.commands SELECT log, actor, 'x', request_hash, outcome, status, rule, result,"
        " decided_position, first_position, last_position, recorded_at FROM log.commands WHERE key = 'old-refusal'",
        OLD_REFUSAL,
    ),
]

BESIDE: Final = [
    case(
        "subject_keys.log: of another log",
        "INSERT INTO log.logs (name) VALUES ('other'); UPDATE log.subject_keys SET log = 2 WHERE subject = 'owner-1'",
        KEYS_OPEN,
        TABLES,
    ),
    case(
        "subject_keys.subject: another person",
        "UPDATE log.subject_keys SET subject = 'x' WHERE subject = 'owner-1'",
        KEYS_OPEN,
        TABLES,
    ),
    case(
        "subject_keys.sealed_key: erased",
        "UPDATE log.subject_keys SET sealed_key = NULL, erased_at = now() WHERE subject = 'author-1'",
        ERASURES,
        TABLES,
    ),
    hidden("subject_keys.changed_by: another", "UPDATE log.subject_keys SET changed_by = '1'", NOTHING),
    case(
        "subject_keys: an erased person has a key again",
        "UPDATE log.subject_keys k SET sealed_key = o.sealed_key, master_key = 1, erased_at = NULL"
        " FROM log.subject_keys o WHERE k.subject = 'gone' AND o.subject = 'owner-1'",
        ERASURES,
        KEYS_OPEN,
    ),
    case(
        "subject_keys: the row of an erased person deleted",
        "DELETE FROM log.subject_keys WHERE subject = 'gone'",
        ERASURES,
        KEYS_OPEN,
    ),
    case(
        "events: the erasure of another person",
        in_json("payload", "gone", "owner-1", "type = 'subject.erased.v1'"),
        ERASURES,
        STREAMS_KEEP_RULES,
        TABLES,
        digest=CHANGES,
    ),
    case("subject_keys: deleted", "DELETE FROM log.subject_keys WHERE subject = 'owner-1'", KEYS_OPEN, TABLES),
    case(
        "subject_keys.sealed_key: junk",
        "UPDATE log.subject_keys SET sealed_key = 'junk' WHERE subject = 'owner-1'",
        KEYS_OPEN,
        TABLES,
    ),
    case(
        "subject_keys.master_key: another",
        "UPDATE log.subject_keys SET master_key = 2 WHERE subject = 'owner-1'",
        KEYS_OPEN,
        TABLES,
    ),
    case("master_keys.number: another", "UPDATE log.master_keys SET number = 2", KEYS_OPEN, TABLES),
    hidden("master_keys.recorded_at: another", "UPDATE log.master_keys SET recorded_at = '2020-01-01'", NOTHING),
    hidden(
        "subject_keys.created_at: another",
        "UPDATE log.subject_keys SET created_at = '2020-01-01'",
        NOTHING,
    ),
    hidden(
        "subject_keys.erased_at: another",
        "UPDATE log.subject_keys SET erased_at = '2020-01-01' WHERE subject = 'gone'",
        "the event has the time of the erasure; a key that is destroyed again has a later one",
    ),
    case(
        "snapshots.state: another balance",
        "UPDATE log.snapshots SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'), '\"balance\":-?\\d+',"
        " '\"balance\":7'), 'UTF8')",
        SNAPSHOTS_HOLD,
    ),
    case("snapshots.state: garbage", "UPDATE log.snapshots SET state = 'nonsense'", SNAPSHOTS_HOLD),
    case("snapshots.version: later", "UPDATE log.snapshots SET version = version + 90", SNAPSHOTS_HOLD),
    case(
        "snapshots.stream: another",
        "UPDATE log.snapshots SET stream = 'acct_x' WHERE stream = (SELECT min(stream) FROM log.snapshots)",
        SNAPSHOTS_HOLD,
    ),
    hidden("snapshots.shape: of other code", "UPDATE log.snapshots SET shape = 'x'", CACHE),
    hidden("snapshots.log: of another log", "UPDATE log.snapshots SET log = 2", CACHE),
    hidden("snapshots: deleted", "DELETE FROM log.snapshots", CACHE),
    case(
        "eras: raised, and the key of a batch item taken from its metadata",
        "UPDATE log.eras SET position = 1000 WHERE name = 'metadata.key'; "
        + in_json("metadata", ',"key":"new-item"', "", UNIT_OF.format("new-item")),
        digest=CHANGES,
    ),
    case(
        "eras: raised, and a reference made a sentence",
        "UPDATE log.eras SET position = 1000 WHERE name = 'codes'; "
        + in_json("payload", "ref-2", "a sentence", "type = 'account.hold_placed.v2'")
        + "; UPDATE read.holds SET reference = 'a sentence' WHERE reference = 'ref-2'",
        digest=CHANGES,
    ),
    case("eras: lowered", "UPDATE log.eras SET position = 0", NAMED, ANSWERS, CODES_FIT),
    case("eras: deleted", "DELETE FROM log.eras", NAMED, ANSWERS, CODES_FIT),
    hidden(
        "numbers: restarted",
        "ALTER SEQUENCE log.numbers RESTART WITH 1",
        "gaps are allowed, and a number that is used again is refused",
    ),
    hidden(
        "library.tracking: a row",
        "INSERT INTO library.tracking VALUES (1, 'x', 1)",
        "it belongs to the library and not to the ledger",
    ),
]

_LOWEST: Final = "level = 0 AND number = 0"
_FLIPPED: Final = "hashes = set_byte(hashes, 5, 255 - get_byte(hashes, 5))"
_NEWEST: Final = "size = (SELECT max(size) FROM proof.checkpoints)"
_BUCKET: Final = "bucket = (SELECT min(bucket) FROM proof.heads)"
_EMPTY: Final = "(SELECT min(b) FROM generate_series(0, 65535) AS b WHERE b NOT IN (SELECT bucket FROM proof.heads))"
_EMPTY_TILE: Final = (
    "(SELECT min(n) FROM generate_series(0, 255) AS n"
    " WHERE n NOT IN (SELECT number FROM proof.head_tiles WHERE level = 0))"
)
_ANSWER: Final = "UPDATE log.commands SET status = 200 WHERE key = 'last'"

PROOF: Final = [
    case("trees.log: of another log", "UPDATE proof.trees SET log = 2", SIGNED),
    hidden(
        "trees.origin: another",
        "UPDATE proof.trees SET origin = 'daybook.example/other'",
        "the next heads have it, as after daybook restored: whoever kept a head sees that it is of another origin",
    ),
    case("trees.size: smaller", "UPDATE proof.trees SET size = size - 1, heads = heads - 1", HEADS, SIGNED),
    case("trees.size: a tile smaller", "UPDATE proof.trees SET size = size - 256, heads = 0", HEADS, SIGNED),
    case("trees.size: larger", "UPDATE proof.trees SET size = size + 1", SEALED, SIGNED),
    case("trees.size: beyond all", "UPDATE proof.trees SET size = 9000000000000000000", SEALED, SIGNED),
    case("trees: deleted", "DELETE FROM proof.trees", SIGNED),
    case("tiles.log: of another log", f"UPDATE proof.tiles SET log = 2 WHERE {_LOWEST}", SEALED, SIGNED),
    case("tiles.level: another", "UPDATE proof.tiles SET level = 2 WHERE level = 1", SIGNED),
    case("tiles.number: another", f"UPDATE proof.tiles SET number = 99 WHERE {_LOWEST}", SEALED, SIGNED),
    case(
        "tiles.number: far beyond all",
        f"UPDATE proof.tiles SET number = 9000000000000000000 WHERE {_LOWEST}",
        SEALED,
        SIGNED,
    ),
    case("tiles.hashes: a leaf", f"UPDATE proof.tiles SET {_FLIPPED} WHERE {_LOWEST}", SEALED, SIGNED),
    case(
        "tiles.hashes: above the leaves",
        f"UPDATE proof.tiles SET {_FLIPPED} WHERE level = 1",
        SIGNED,
    ),
    case(
        "tiles.hashes: the last cut off",
        "UPDATE proof.tiles SET hashes = substr(hashes, 1, octet_length(hashes) - 32) WHERE level = 0 AND number ="
        " (SELECT max(number) FROM proof.tiles WHERE level = 0)",
        SEALED,
        SIGNED,
    ),
    case("tiles: one deleted", f"DELETE FROM proof.tiles WHERE {_LOWEST}", SEALED, SIGNED),
    case("tiles: one above deleted", "DELETE FROM proof.tiles WHERE level = 1", SIGNED),
    case("tiles: one more", "INSERT INTO proof.tiles VALUES (1, 3, 0, sha256('x'))", SIGNED),
    case("keys.log: of another log", "UPDATE proof.keys SET log = 2 WHERE number = 1", SIGNED),
    case("keys.number: another", "UPDATE proof.keys SET number = 7 WHERE number = 2", SIGNED),
    case(
        "keys.verifier: another key",
        f"UPDATE proof.keys SET verifier = '{Signer(ORIGIN, b'3' * 32).verifier}' WHERE number = 1",
        SIGNED,
    ),
    case("keys.verifier: no key", "UPDATE proof.keys SET verifier = 'x' WHERE number = 2", SIGNED),
    hidden(
        "keys.since: another",
        "UPDATE proof.keys SET since = '2020-01-01'",
        "no signature covers it, and a clock may be put back; the size says from which head on",
    ),
    case(
        "keys.size: later than its heads",
        "UPDATE proof.keys SET size = (SELECT max(size) FROM proof.checkpoints) WHERE number = 1",
        SIGNED,
    ),
    hidden(
        "keys.size: later, and still before its heads",
        "UPDATE proof.keys SET size = size + 1 WHERE number = 1",
        "no head was signed between the two sizes, so both are true of all heads",
    ),
    case("keys: the first deleted", "DELETE FROM proof.keys WHERE number = 1", SIGNED),
    case("keys: the last deleted", "DELETE FROM proof.keys WHERE number = 2", SIGNED),
    hidden(
        "keys: one more, which has not signed",
        f"INSERT INTO proof.keys SELECT 1, 3, '{Signer(ORIGIN, b'3' * 32).verifier}', now(), size FROM proof.trees",
        "a sealer may have begun with it; the one with the old key does not sign any more, and says why",
    ),
    case("checkpoints.log: of another log", f"UPDATE proof.checkpoints SET log = 2 WHERE {_NEWEST}", SIGNED),
    case("checkpoints.size: another", f"UPDATE proof.checkpoints SET size = size - 1 WHERE {_NEWEST}", HEADS, SIGNED),
    case(
        "checkpoints.size: beyond the tree",
        f"UPDATE proof.checkpoints SET size = size + 1 WHERE {_NEWEST}",
        HEADS,
        SIGNED,
    ),
    case("checkpoints.root: another", f"UPDATE proof.checkpoints SET root = sha256('x') WHERE {_NEWEST}", SIGNED),
    case(
        "checkpoints.note: another text",
        f"UPDATE proof.checkpoints SET note = replace(note, 'example', 'examine') WHERE {_NEWEST}",
        SIGNED,
    ),
    case(
        "checkpoints.note: that of another size",
        "UPDATE proof.checkpoints SET note = (SELECT o.note FROM proof.checkpoints o ORDER BY o.size LIMIT 1)",
        SIGNED,
    ),
    case("checkpoints.note: no note", f"UPDATE proof.checkpoints SET note = 'x' WHERE {_NEWEST}", SIGNED),
    hidden(
        "checkpoints.signed_at: another",
        "UPDATE proof.checkpoints SET signed_at = '2020-01-01'",
        "no signature of the log covers it: a witness signs the time",
    ),
    hidden(
        "checkpoints: the first deleted",
        "DELETE FROM proof.checkpoints WHERE size = (SELECT min(size) FROM proof.checkpoints)",
        "proofs are computed from the tiles: whoever kept that head still gets them",
    ),
    hidden(
        "checkpoints: the newest deleted, with its cosignature",
        f"DELETE FROM proof.cosignatures; DELETE FROM proof.checkpoints WHERE {_NEWEST}",
        KEPT_HEAD,
    ),
    case("trees.heads: before what was signed", "UPDATE proof.trees SET heads = heads - 1", HEADS),
    case("trees.streams: one more", "UPDATE proof.trees SET streams = streams + 1", HEADS),
    case(
        "checkpoints.streams: another",
        f"UPDATE proof.checkpoints SET streams = streams + 1 WHERE {_NEWEST}",
        HEADS,
        SIGNED,
    ),
    case(
        "checkpoints.heads_root: another",
        f"UPDATE proof.checkpoints SET heads_root = sha256('x') WHERE {_NEWEST}",
        HEADS,
        SIGNED,
    ),
    case(
        "checkpoints.heads_root: none",
        f"UPDATE proof.checkpoints SET heads_root = NULL, streams = NULL WHERE {_NEWEST}",
        SIGNED,
    ),
    case("heads.log: of another log", f"UPDATE proof.heads SET log = 2 WHERE {_BUCKET}", HEADS, SIGNED),
    case("heads.bucket: another", f"UPDATE proof.heads SET bucket = {_EMPTY} WHERE {_BUCKET}", HEADS),
    case("heads.size: later", f"UPDATE proof.heads SET size = size + 100000 WHERE {_BUCKET}", HEADS),
    case(
        "heads.heads: another version",
        f"UPDATE proof.heads SET heads = set_byte(heads, 39, 255 - get_byte(heads, 39)) WHERE {_BUCKET}",
        HEADS,
    ),
    case("heads: a bucket deleted", f"DELETE FROM proof.heads WHERE {_BUCKET}", HEADS),
    case(
        "heads: a bucket more",
        f"INSERT INTO proof.heads SELECT log, {_EMPTY}, size, heads FROM proof.heads ORDER BY size LIMIT 1",
        HEADS,
    ),
    case("head_tiles.log: of another log", "UPDATE proof.head_tiles SET log = 2 WHERE level = 1", HEADS, SIGNED),
    case(
        "head_tiles.level: another",
        f"UPDATE proof.head_tiles SET level = 0, number = {_EMPTY_TILE} WHERE level = 1",
        HEADS,
    ),
    case(
        "head_tiles.number: another",
        f"UPDATE proof.head_tiles SET number = {_EMPTY_TILE} WHERE level = 0 AND number = (SELECT min(number) FROM"
        " proof.head_tiles WHERE level = 0)",
        HEADS,
    ),
    case("head_tiles.size: later", "UPDATE proof.head_tiles SET size = size + 100000 WHERE level = 1", HEADS),
    case(
        "head_tiles.hashes: another",
        f"UPDATE proof.head_tiles SET {_FLIPPED} WHERE level = 1",
        HEADS,
    ),
    case("cosignatures.log: of another log", "UPDATE proof.cosignatures SET log = 2", SIGNED),
    case(
        "cosignatures.witness: another key",
        f"UPDATE proof.cosignatures SET witness = '{Signer('witness.example', b'3' * 32, COSIGNATURE).verifier}'",
        SIGNED,
    ),
    case(
        "cosignatures.size: another",
        "UPDATE proof.cosignatures SET size = (SELECT min(size) FROM proof.checkpoints)",
        SIGNED,
    ),
    case("cosignatures.size: of no checkpoint", "UPDATE proof.cosignatures SET size = size - 1", SIGNED),
    case("cosignatures.line: another", "UPDATE proof.cosignatures SET line = '— witness.example eHl6enk='", SIGNED),
    case(
        "cosignatures.signed_at: later",
        "UPDATE proof.cosignatures SET signed_at = signed_at + interval '1 s'",
        SIGNED,
    ),
    hidden(
        "cosignatures: deleted",
        "DELETE FROM proof.cosignatures",
        "whoever kept the note with the cosignature has it: a witness need not have signed",
    ),
    forked("proof: removed, and an answer changed", _ANSWER),
    forked("proof: made anew with the key, after an answer was changed", _ANSWER, key=NEXT_KEY),
    forked("proof: made anew with the key of before, after an answer was changed", _ANSWER, key=KEY),
    forked("proof: made anew with another key, after an answer was changed", _ANSWER, key=b"3" * 32),
    forked(
        "proof: made anew with the key, after an event was rewritten with its row",
        in_json("payload", "ref-1", "ref-9", "true")
        + "; UPDATE read.transactions SET reference = 'ref-9' WHERE reference = 'ref-1'",
        key=NEXT_KEY,
    ),
    case("grant: to change tiles", "GRANT UPDATE ON proof.tiles TO daybook_sealer", SCHEMA),
]

READ: Final = [
    case("accounts: a balance", "UPDATE read.accounts SET balance = balance + 1", TABLES),
    case("accounts: metadata", """UPDATE read.accounts SET metadata = '{"till": "5"}'""", TABLES),
    case("accounts: a name", "UPDATE read.accounts SET name = 'Nobody'", TABLES),
    case(
        "accounts: a row deleted",
        "DELETE FROM read.accounts WHERE account = (SELECT min(account) FROM read.accounts)",
        TABLES,
    ),
    case("movements: a sum", "UPDATE read.movements SET credits = credits + 1", TABLES),
    case(
        "movements_booked_on_other_days: a sum",
        "UPDATE read.movements_booked_on_other_days SET credits = credits + 1",
        TABLES,
    ),
    case("transactions: a reference", "UPDATE read.transactions SET reference = 'x'", TABLES),
    case("transactions: a row deleted", "DELETE FROM read.transactions WHERE reference = 'ref-1'", TABLES),
    case("entries: an amount", "UPDATE read.entries SET amount = amount + 1", TABLES),
    case(
        "entries: a row deleted", "DELETE FROM read.entries WHERE ctid = (SELECT min(ctid) FROM read.entries)", TABLES
    ),
    case("orders: a status", "UPDATE read.orders SET status = 'paid'", TABLES),
    case("order_lines: a price", "UPDATE read.order_lines SET unit_price = unit_price + 1", TABLES),
    case("posting_policy: days", "UPDATE read.posting_policy SET most_days_back = 1", TABLES),
    case(
        "posting_policy_versions: a row deleted",
        "DELETE FROM read.posting_policy_versions WHERE version = 1",
        TABLES,
    ),
    case("limit_usage: a sum", "UPDATE read.limit_usage SET used = used + 1", TABLES),
    case("risk_rules: a switch", "UPDATE read.risk_rules SET active = NOT active", TABLES),
    case("risk_rules_versions: a row deleted", "DELETE FROM read.risk_rules_versions WHERE version = 1", TABLES),
    case("risk_assessments: a score", "UPDATE read.risk_assessments SET score = score + 1", TABLES),
    case("periods: a status", "UPDATE read.periods SET status = 'closed'", TABLES),
    case("periods: a year", "UPDATE read.periods SET year = NULL WHERE year IS NOT NULL", TABLES),
    case("year_end_transactions: a reversal", "UPDATE read.year_end_transactions SET reversed_at = NULL", TABLES),
    case("period_figures: a sum", "UPDATE read.period_figures SET debits = debits + 1", TABLES),
    case("fee_schedules: a definition", "UPDATE read.fee_schedules SET definition = '{}'", TABLES),
    case("fee_schedule_versions: a row deleted", "DELETE FROM read.fee_schedule_versions WHERE number = 1", TABLES),
    case("templates: the newest version", "UPDATE read.templates SET newest = 1", TABLES),
    case("template_versions: a definition", "UPDATE read.template_versions SET definition = '{}'", TABLES),
    case("template_retirements: a row deleted", "DELETE FROM read.template_retirements", TABLES),
    case("account_persons: an end", "UPDATE read.account_persons SET until = NULL WHERE standing = 'mandate'", TABLES),
    case("holds: what is left", "UPDATE read.holds SET remaining = remaining + 1", TABLES),
    case("chart_nodes: a number of accounts", "UPDATE read.chart_nodes SET accounts = accounts + 1", TABLES),
    case("chart_accounts: a row deleted", "DELETE FROM read.chart_accounts WHERE node IS NOT NULL", TABLES),
    case("rates: an end", "UPDATE read.rates SET valid_until = NULL", TABLES),
    case("quotes: one unused", "UPDATE read.quotes SET conversion = NULL", TABLES),
    case("settlement_agreements: a rate", "UPDATE read.settlement_agreements SET fee_rate = 0", TABLES),
    case("settlements: a status", "UPDATE read.settlements SET status = 'empty'", TABLES),
    case("interest: a rate", "UPDATE read.interest SET rate = 0", TABLES),
    case("interest_credits: an amount", "UPDATE read.interest_credits SET amount = amount + 1", TABLES),
    case("payroll_runs: a status", "UPDATE read.payroll_runs SET status = 'running'", TABLES),
    case("payroll_items: an amount", "UPDATE read.payroll_items SET amount = amount + 1 WHERE number = 1", TABLES),
    case("reconciliations: a status", "UPDATE read.reconciliations SET status = 'closed'", TABLES),
    case("reconciliation_matches: a rule", "UPDATE read.reconciliation_matches SET rule = 'reference'", TABLES),
    case("reconciliation_match_lines: a row deleted", "DELETE FROM read.reconciliation_match_lines", TABLES),
    case(
        "reconciliation_match_entries: an amount",
        "UPDATE read.reconciliation_match_entries SET amount = amount + 1",
        TABLES,
    ),
    case("statement_parts: a number", "UPDATE read.statement_parts SET first = first + 1", TABLES),
    case("statement_lines: an amount", "UPDATE read.statement_lines SET amount = amount + 1", TABLES),
    case("transactions_that_waited: a row deleted", "DELETE FROM read.transactions_that_waited", TABLES),
    case("recurring_payments: an amount", "UPDATE read.recurring_payments SET amount = amount + 1", TABLES),
    case("recurring_runs: a row deleted", "DELETE FROM read.recurring_runs WHERE outcome = 'refused'", TABLES),
    case("transfer_orders: an amount", "UPDATE read.transfer_orders SET paid = paid + 1", TABLES),
    case(
        "transfer_order_tries: a row deleted", "DELETE FROM read.transfer_order_tries WHERE outcome = 'refused'", TABLES
    ),
    case("business_calendar: a weekend", "UPDATE read.business_calendar SET weekend = '[]'", TABLES),
    case(
        "business_calendar_versions: a row deleted",
        "DELETE FROM read.business_calendar_versions WHERE version = 1",
        TABLES,
    ),
    case("long_batches: a count", "UPDATE read.long_batches SET accepted = accepted + 1", TABLES),
    case("webhooks: a status", "UPDATE read.webhooks SET status = 'active' WHERE status = 'disabled'", TABLES),
    case("conversions: a rate", "UPDATE read.conversions SET rate = rate + 1", TABLES),
    case("processes: a status", "UPDATE read.processes SET status = 'working'", TABLES),
    case("refusals: a rule", "UPDATE read.refusals SET rule = 'x'", TABLES),
    case("people: a role", "UPDATE read.people SET roles = '[]' WHERE roles::text <> '[]'", TABLES),
    case("mails: a status", "UPDATE read.mails SET status = 'sent' WHERE status = 'given_up'", TABLES),
    case("approvals: an outcome", "UPDATE read.approvals SET outcome = 'approved' WHERE outcome = 'open'", TABLES),
    case("sign_ins: an end", "UPDATE read.sign_ins SET ended_why = NULL WHERE ended_why IS NOT NULL", TABLES),
    case("posts: a title", "UPDATE read.posts SET title = 'x'", TABLES),
    case("post_revisions: a row deleted", "DELETE FROM read.post_revisions WHERE revision = 1", TABLES),
    case("trial_balance: a sum", "UPDATE read.trial_balance SET debits = debits + 1", TABLES),
    case("trial_balance_accounts: a row deleted", "DELETE FROM read.trial_balance_accounts", TABLES),
    case(
        "checkpoints.position: 0, and the tables emptied",
        "UPDATE read.checkpoints SET position = 0, digest = ''; TRUNCATE read.accounts, read.movements,"
        " read.transactions, read.orders, read.order_lines, read.posts, read.post_revisions, read.trial_balance,"
        " read.trial_balance_accounts, read.entries, read.refusals,"
        " read.posting_policy, read.posting_policy_versions, read.risk_rules, read.risk_rules_versions,"
        " read.risk_assessments, read.limit_usage, read.chart_nodes, read.chart_accounts,"
        " read.periods, read.period_figures, read.year_end_transactions,"
        " read.account_persons, read.holds, read.rates, read.quotes, read.conversions,"
        " read.settlement_agreements, read.settlements, read.interest, read.interest_credits,"
        " read.payroll_runs, read.payroll_items, read.reconciliations, read.reconciliation_matches,"
        " read.reconciliation_match_lines, read.reconciliation_match_entries, read.statement_parts,"
        " read.statement_lines, read.transactions_that_waited,"
        " read.fee_schedules, read.fee_schedule_versions, read.templates, read.template_versions,"
        " read.template_retirements, read.people, read.approvals, read.sign_ins, read.mails, read.processes,"
        " read.movements_booked_on_other_days, read.recurring_payments, read.recurring_runs,"
        " read.transfer_orders, read.transfer_order_tries,"
        " read.business_calendar, read.business_calendar_versions, read.webhooks, read.long_batches",
        STATUS,
    ),
    case(
        "checkpoints.position: within a unit",
        "UPDATE read.checkpoints SET position = position - 1 WHERE projection = 'orders'",
        CHECKPOINTS,
    ),
    case(
        "checkpoints.position: ahead of the head",
        "UPDATE read.checkpoints SET position = position + 5 WHERE projection = 'orders'",
        CHECKPOINTS,
    ),
    case(
        "checkpoints.epoch: another", "UPDATE read.checkpoints SET epoch = 7 WHERE projection = 'orders'", CHECKPOINTS
    ),
    case(
        "checkpoints.digest: another",
        "UPDATE read.checkpoints SET digest = sha256('x') WHERE projection = 'orders'",
        CHECKPOINTS,
    ),
    case("checkpoints.log: another", "UPDATE read.checkpoints SET log = 2 WHERE projection = 'orders'", CHECKPOINTS),
    case(
        "checkpoints.projection: another",
        "UPDATE read.checkpoints SET projection = 'x' WHERE projection = 'orders'",
        CHECKPOINTS,
    ),
    case("checkpoints: deleted", "DELETE FROM read.checkpoints WHERE projection = 'orders'", CHECKPOINTS),
    hidden(
        "checkpoints.updated_at: another",
        "UPDATE read.checkpoints SET updated_at = '2020-01-01'",
        "nothing depends on it",
    ),
    case(
        "projection_errors: a row",
        "INSERT INTO read.projection_errors VALUES ('orders', 1, 1, 'ord_x', 'order.paid.v1', 'x')",
        STATUS,
    ),
    case(
        "projection_errors: a row of no projection",
        "INSERT INTO read.projection_errors VALUES ('x', 1, 1, 'x', 'x', 'x')",
        CHECKPOINTS,
    ),
    case(
        "partitions: a row",
        "INSERT INTO read.partitions VALUES ('entries', 0, 'x', 'x', 'x')",
        CHECKPOINTS,
    ),
    case(
        "projections.shape: another", "UPDATE read.projections SET shape = 'x' WHERE projection = 'orders'", CHECKPOINTS
    ),
    case("projections: a row of no projection", "INSERT INTO read.projections VALUES ('x', 'x')", CHECKPOINTS),
    case("projections: a row deleted", "DELETE FROM read.projections WHERE projection = 'orders'", CHECKPOINTS),
    case("reports.digest: another", "UPDATE read.reports SET digest = 'x' WHERE projection = 'orders'", SCHEMA),
    case("reports: a row deleted", "DELETE FROM read.reports WHERE projection = 'orders'", SCHEMA),
    case("currencies.exponent: another", "UPDATE read.currencies SET exponent = 3 WHERE currency = 'EUR'", SCHEMA),
    case("currencies.minor_unit: another", "UPDATE read.currencies SET minor_unit = 10 WHERE currency = 'EUR'", SCHEMA),
    case("currencies: one invented", "INSERT INTO read.currencies VALUES ('XXX', 2, 0.01)", SCHEMA),
    case("currencies: one deleted", "DELETE FROM read.currencies WHERE currency = 'EUR'", SCHEMA),
]

_EVIL: Final = "AS 'SELECT 1' LANGUAGE sql"
_ON_DATABASE = "DO $$ BEGIN EXECUTE format('{} ON DATABASE %I {}', current_database()); END $$"
SCHEMAS: Final = [
    case(
        "function: another source",
        "CREATE OR REPLACE FUNCTION log.lock_head(p_log integer) RETURNS bigint LANGUAGE sql"
        " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 7::bigint'",
        SCHEMA,
    ),
    case("function: without its search path", "ALTER FUNCTION log.create_log RESET search_path", SCHEMA),
    case("function: with the rights of its owner", "ALTER FUNCTION log.forget_origins SECURITY DEFINER", SCHEMA),
    case("function: of another owner", "ALTER FUNCTION log.append OWNER TO daybook_projector", SCHEMA),
    case("function: one more", f"CREATE FUNCTION read.evil() RETURNS integer {_EVIL}", SCHEMA),
    case("function: dropped", "DROP FUNCTION log.forget_origins", SCHEMA),
    case("grant: on the log", "GRANT INSERT ON log.events TO daybook_api", SCHEMA),
    case("grant: of a column", "GRANT UPDATE (result) ON log.commands TO daybook_api", SCHEMA),
    case("grant: to PUBLIC", "GRANT SELECT ON log.subject_keys TO PUBLIC", SCHEMA),
    case("grant: to change recorded reads", "GRANT UPDATE ON access.reads TO daybook_api", SCHEMA),
    case("grant: to remove attempts of webhooks", "GRANT DELETE ON webhooks.deliveries TO daybook_api", SCHEMA),
    case("grant: to change what long batches wait for", "GRANT UPDATE ON batches.parts TO daybook_api", SCHEMA),
    case("grant: of a function", "GRANT EXECUTE ON FUNCTION log.forget_origins TO PUBLIC", SCHEMA),
    case("grant: of a schema", "GRANT CREATE ON SCHEMA reporting TO daybook_reader", SCHEMA),
    case("grant: of the schema public", "GRANT CREATE ON SCHEMA public TO PUBLIC", SCHEMA),
    case("grant: of the schema public to one", "GRANT CREATE ON SCHEMA public TO daybook_api", SCHEMA),
    case("grant: of temporary tables", _ON_DATABASE.format("GRANT TEMPORARY", "TO daybook_reader"), SCHEMA),
    case("grant: of schemas", _ON_DATABASE.format("GRANT CREATE", "TO daybook_api"), SCHEMA),
    case(
        "login: of two roles",
        "CREATE ROLE evil LOGIN IN ROLE daybook_api, daybook_reader",
        SCHEMA,
        undo="DROP ROLE evil",
    ),
    case("login: of the owner", "CREATE ROLE evil LOGIN IN ROLE daybook_owner", SCHEMA, undo="DROP ROLE evil"),
    case("grant: revoked", "REVOKE SELECT ON log.events FROM daybook_api", SCHEMA),
    case(
        "grant: by default",
        "ALTER DEFAULT PRIVILEGES FOR ROLE daybook_projector IN SCHEMA read GRANT SELECT ON TABLES TO PUBLIC",
        SCHEMA,
    ),
    case(
        "role: a superuser", "ALTER ROLE daybook_reader SUPERUSER", SCHEMA, undo="ALTER ROLE daybook_reader NOSUPERUSER"
    ),
    case(
        "role: a member of another",
        "GRANT daybook_owner TO daybook_api",
        SCHEMA,
        undo="REVOKE daybook_owner FROM daybook_api",
    ),
    case(
        "view: adds 1,000",
        "CREATE OR REPLACE VIEW reporting.trial_balance AS SELECT currency, type, debits, credits,"
        " balance + 1000 AS balance, last_position FROM (SELECT t.currency, t.type, t.debits * c.minor_unit AS debits,"
        " t.credits * c.minor_unit AS credits, (t.credits - t.debits) * c.minor_unit AS balance, t.last_position"
        " FROM read.trial_balance t JOIN read.currencies c USING (currency)) x",
        SCHEMA,
    ),
    case(
        "view: over one table, shows another column",
        "DROP VIEW reporting.post_revisions; CREATE VIEW reporting.post_revisions AS SELECT r.post, r.revision,"
        " r.body AS title, r.body, r.summary, r.text_erased, r.position, r.recorded_at FROM read.post_revisions r",
        SCHEMA,
    ),
    case(
        "view: of the log",
        "CREATE OR REPLACE VIEW log.events_as_json AS SELECT l.name AS log, e.position, e.unit_end,"
        " e.stream, e.version, e.type, e.recorded_at, '{}'::jsonb AS payload, '{}'::jsonb AS metadata FROM log.events e"
        " JOIN log.logs l USING (log)",
        SCHEMA,
    ),
    case("view: dropped", "DROP VIEW reporting.accounts", SCHEMA),
    case("view: one more", "CREATE VIEW reporting.evil AS SELECT 1", SCHEMA),
    case("view: with other rights", "ALTER VIEW reporting.accounts SET (security_invoker = true)", SCHEMA),
    case("table: one more", "CREATE TABLE read.evil (x integer)", SCHEMA),
    case("table: of another owner", "ALTER TABLE read.accounts OWNER TO daybook_api", SCHEMA),
    case("table: not logged", "ALTER TABLE read.order_lines SET UNLOGGED", SCHEMA),
    case("table: inherited from", "CREATE TABLE public.evil () INHERITS (read.trial_balance)", SCHEMA),
    case(
        "table: rows hidden",
        "ALTER TABLE log.commands ENABLE ROW LEVEL SECURITY",
        ANSWERED,
        SCHEMA,
        REFUSALS,
        digest=CHANGES,
    ),
    case("table: dropped", "DROP TABLE read.trial_balance_accounts", CHECKPOINTS, SCHEMA),
    case("column: of another type", "ALTER TABLE read.checkpoints ALTER COLUMN position TYPE numeric", SCHEMA),
    case("column: may be NULL", "ALTER TABLE log.events ALTER COLUMN metadata DROP NOT NULL", SCHEMA),
    case("column: another default", "ALTER TABLE log.logs ALTER COLUMN epoch SET DEFAULT 2", SCHEMA),
    case("column: one more", "ALTER TABLE read.entries ADD COLUMN evil integer", SCHEMA),
    case("column: not an identity", "ALTER TABLE log.logs ALTER COLUMN log DROP IDENTITY", SCHEMA),
    case("constraint: dropped", "ALTER TABLE log.commands DROP CONSTRAINT commands_check1", SCHEMA),
    case("constraint: primary key of a read table", "ALTER TABLE read.accounts DROP CONSTRAINT accounts_pkey", SCHEMA),
    case("constraint: primary key of the log", "ALTER TABLE log.events DROP CONSTRAINT events_pkey", SCHEMA),
    case("index: dropped", "DROP INDEX log.commands_by_position", SCHEMA),
    case("index: one more", "CREATE INDEX evil ON read.entries (recorded_at)", SCHEMA),
    case(
        "index: on other columns",
        "DROP INDEX read.orders_in_status; CREATE INDEX orders_in_status ON read.orders (status)",
        SCHEMA,
    ),
    case(
        "trigger: one more",
        "CREATE FUNCTION public.evil() RETURNS trigger AS 'BEGIN RETURN NULL; END' LANGUAGE plpgsql;"
        " CREATE TRIGGER evil BEFORE INSERT ON log.commands FOR EACH ROW EXECUTE FUNCTION public.evil()",
        SCHEMA,
    ),
    case("rule: one more", "CREATE RULE evil AS ON INSERT TO log.commands DO INSTEAD NOTHING", SCHEMA),
    case("policy: one more", "CREATE POLICY evil ON read.accounts USING (false)", SCHEMA),
    case(
        "event trigger: one more",
        "CREATE FUNCTION public.evil() RETURNS event_trigger AS 'BEGIN END' LANGUAGE plpgsql;"
        " CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION public.evil()",
        SCHEMA,
    ),
    case("sequence: by other steps", "ALTER SEQUENCE log.numbers INCREMENT BY 2", SCHEMA),
    case("type: one more", "CREATE TYPE read.evil AS ENUM ('x')", SCHEMA),
    case("schema: of another owner", "ALTER SCHEMA log OWNER TO daybook_api", SCHEMA),
]

CASES: Final = (*LOGS, *EVENTS, *AGAINST_THE_RULES, *COMMANDS, *BESIDE, *PROOF, *READ, *SCHEMAS)
