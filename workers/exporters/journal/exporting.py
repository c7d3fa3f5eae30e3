"""Writes the transactions of the log as a text journal, page by page, up to one position.

The transactions come from their own events. The balances that the tool is told to check come from the entries of the
accounts, summed by the server: so the tool compares two records of the same facts. Memory has a page of the log, the
names of recent accounts, and with a selection or names by chart also the ids of the accounts that are in it.

Texts of people are sealed in the log. Without `personal` they are never opened, and no key is read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Final, TextIO

from psycopg import Connection

from domain.accounts.account.events import AccountAttached, AccountDetached, AccountOpened
from domain.accounts.account.state import INTERNAL_ROLES
from domain.accounts.chart.state import CHART, INITIAL, Chart
from domain.accounts.chart.state import evolve as evolve_chart
from domain.accounts.posting import TransactionPosted
from eventstore.log.codec import Codec
from eventstore.log.read import Head, Recorded, read_head, read_log, read_stream, read_uuid
from eventstore.postgres.arrays import text_array
from workers.exporters.journal import names
from workers.exporters.journal.formats import FIRST_DAY, FORMATS, Format, FormatName, Line, Written

PAGE: Final = 5_000
"""Positions of the log that are read at once."""
MOST_KNOWN: Final = 100_000
"""Accounts whose names are kept: about 40 MB."""
MOST_ACCOUNTS: Final = 1_000
"""Accounts that can be named for one export. A node of the chart may have more."""

_OPENINGS = """
SELECT type, payload, stream, version FROM log.events WHERE log = %s AND stream = ANY (%s) AND version = 1
"""

# An account that was detached has a row too: it has no node.
_ATTACHED = """
SELECT DISTINCT ON (stream) type, payload, stream, version FROM log.events
 WHERE log = %s AND position <= %s AND type = ANY (%s)
 ORDER BY stream, version DESC
"""

_BALANCES = """
SELECT stream, sum((p.payload->>'amount')::numeric * CASE type WHEN 'account.debited.v1' THEN 1 ELSE -1 END)::text,
       max((p.payload->>'value_date')::date)
  FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
 WHERE e.log = %(log)s AND e.position <= %(position)s AND e.encoding = 0
   AND e.type IN ('account.credited.v1', 'account.debited.v1')
   AND (%(accounts)s::text[] IS NULL OR stream = ANY (%(accounts)s))
   AND (%(before)s::date IS NULL OR (p.payload->>'value_date')::date < %(before)s)
   AND (%(until)s::date IS NULL OR (p.payload->>'value_date')::date <= %(until)s)
 GROUP BY stream ORDER BY stream
"""


class ExportError(ValueError):
    """What was asked for cannot be exported. The message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export."""

    format: FormatName
    after: int | None = None  # only transactions after this position: a part that follows an earlier one
    upto: int | None = None  # the position of the export; None: the head of the log
    since: date | None = None  # the first value date; earlier ones become opening balances
    until: date | None = None  # the last value date
    accounts: tuple[str, ...] = ()  # only transactions with one of these
    node: str | None = None  # or with an account at this node of the chart, or below it
    by_chart: bool = False  # names of accounts follow the chart, and not the types of accounts
    balances: bool = True  # opening balances and assertions
    personal: bool = False  # descriptions and names of accounts


@dataclass(slots=True)
class Exported:
    """What was exported."""

    log: str
    uuid: str
    epoch: int
    position: int
    after: int
    accounts: int = 0  # declared
    transactions: int = 0
    postings: int = 0
    opening_balances: int = 0
    balances: int = 0  # asserted

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        return asdict(self)


@dataclass(slots=True)
class _Account:
    name: str
    currency: str
    opened_on: date
    title: str | None


@dataclass(slots=True)
class _Export:
    """One export while it is written."""

    connection: Connection[Any]
    codec: Codec
    head: Head
    wanted: Wanted
    out: TextIO
    done: Exported
    format: Format
    chart: Chart
    node_of: dict[str, str]  # by account; empty unless names or a selection need it
    selection: frozenset[str] | None  # None: every account
    known: OrderedDict[str, _Account] = field(default_factory=OrderedDict)
    declared: set[str] = field(default_factory=set)  # used only with a selection
    last_day: date | None = None

    # Accounts

    def look_up(self, ids: Iterable[str]) -> dict[str, _Account]:
        """What is written about these accounts. It is read from the events that opened them."""
        found: dict[str, _Account] = {}
        missing = []
        for id in dict.fromkeys(ids):
            account = self.known.get(id)
            if account is None:
                missing.append(id)
            else:
                self.known.move_to_end(id)
                found[id] = account
        if missing:
            rows = self.connection.execute(_OPENINGS, (self.head.log_number, text_array(missing))).fetchall()
            for event in _decoded(self.codec, rows):
                if isinstance(event, AccountOpened):
                    found[event.originator_id] = self.known[event.originator_id] = self.described(event)
        while len(self.known) > MOST_KNOWN:
            self.known.popitem(last=False)
        return found

    def described(self, event: AccountOpened) -> _Account:
        """An account as it is written."""
        node = self.node_of.get(event.originator_id) if self.wanted.by_chart else None
        if node is None or self.chart.find(node) is None:
            name = names.by_type(event.type, event.number)
        else:
            name = names.by_node(self.chart, node, event.number)
        title = event.name if self.wanted.personal and isinstance(event.name, str) else None
        # The ledger's own accounts take entries from before the day on which they were opened.
        opened_on = FIRST_DAY if event.type in INTERNAL_ROLES else event.opened_on
        return _Account(name, event.currency, opened_on, title)

    def declare(self, account: _Account) -> None:
        """Write the declaration of an account."""
        self.write(self.format.account(account.name, account.opened_on, account.currency, account.title))
        self.done.accounts += 1

    def declare_new(self, accounts: dict[str, _Account]) -> None:
        """Write the declarations of accounts that a selection meets for the first time."""
        if self.selection is not None:
            for id, account in accounts.items():
                if id not in self.declared:
                    self.declared.add(id)
                    self.declare(account)

    # Transactions

    def page(self, events: Sequence[Recorded]) -> None:
        """Write the accounts and transactions of a page of the log."""
        stored = [(row.type, row.payload, row.stream, row.version) for row in events]
        decoded = [*zip(events, _decoded(self.codec, stored), strict=True)]
        chosen = [event for _, event in decoded if isinstance(event, TransactionPosted) and self.is_wanted(event)]
        accounts = self.look_up(entry.account for event in chosen for entry in event.entries)
        wanted = {event.originator_id for event in chosen}
        for recorded, event in decoded:
            if isinstance(event, AccountOpened):
                if self.selection is None:
                    self.declare(self.described(event))
            elif event.originator_id in wanted:
                self.declare_new({entry.account: accounts[entry.account] for entry in event.entries})
                self.transaction(recorded.position, event, accounts)

    def is_wanted(self, event: TransactionPosted) -> bool:
        """Whether the transaction is in the dates and has an account of the selection."""
        since, until = self.wanted.since, self.wanted.until
        if (since is not None and event.value_date < since) or (until is not None and event.value_date > until):
            return False
        return self.selection is None or any(entry.account in self.selection for entry in event.entries)

    def transaction(self, position: int, event: TransactionPosted, accounts: dict[str, _Account]) -> None:
        """Write a transaction."""
        personal = self.wanted.personal and isinstance(event.description, str)
        facts = {"transaction": event.originator_id, "position": str(position)}
        if personal:
            facts["kind"] = event.kind
        lines = tuple(Line(accounts[entry.account].name, -entry.signed, entry.currency) for entry in event.entries)
        description = event.description if personal and isinstance(event.description, str) else None
        self.write(
            self.format.transaction(Written(event.value_date, event.kind, event.reference, description, lines, facts))
        )
        self.last_day = max(event.value_date, self.last_day or event.value_date)
        self.done.transactions += 1
        self.done.postings += len(lines)

    # Balances

    def balances(
        self, *, before: date | None = None, until: date | None = None
    ) -> Iterator[tuple[_Account, int, date]]:
        """Accounts with their balance by value date, debits less credits, as of the position, and the last value date.

        The server sums them.
        """
        parameters = {
            "log": self.head.log_number,
            "position": self.done.position,
            "accounts": None if self.selection is None else text_array(sorted(self.selection)),
            "before": before,
            "until": until,
        }
        with self.connection.transaction(), self.connection.cursor(name="balances") as cursor:
            cursor.execute(_BALANCES, parameters)
            while rows := cursor.fetchmany(PAGE):
                accounts = self.look_up(stream for stream, *_ in rows)
                for stream, balance, last_day in rows:
                    self.declare_new({stream: accounts[stream]})
                    yield accounts[stream], int(balance), last_day

    def opening(self, day: date) -> None:
        """Write the balances before the day, each against one account, whose own balance comes to zero over all."""
        # After the transactions: by then the accounts are declared, and the tools sort by date.
        self.write(self.format.account(names.OPENING, day, None, None))
        for account, balance, _ in self.balances(before=day):
            if balance:
                other = Line(names.OPENING, -balance, account.currency)
                lines = (Line(account.name, balance, account.currency), other)
                self.write(self.format.transaction(Written(day, "opening", None, None, lines, {})))
                self.done.opening_balances += 1
                self.last_day = day

    def assertions(self) -> None:
        """Write what each account must have at the end.

        An earlier part may have transactions with a later value date, which the balance has too.
        """
        if self.last_day is None:
            return
        for account, balance, last_day in self.balances(until=self.wanted.until):
            at_end = max(last_day, self.last_day)
            self.write(self.format.balance(Line(account.name, balance, account.currency), at_end))
            self.done.balances += 1

    def write(self, lines: Iterable[str]) -> None:
        self.out.writelines(lines)


def export_journal(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    wanted: Wanted,
    out: TextIO,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write the journal. `codec` opens texts of people if they are wanted. `progress` gets positions: done and all.

    Raises `ExportError`, `UnknownLogError`, `CodecError`.
    """
    if wanted.after is not None and wanted.since is not None:
        raise ExportError("a part goes on after a position, or it begins at a value date: not both")
    head = read_head(connection, log)
    position = head.position if wanted.upto is None else wanted.upto
    after = wanted.after or 0
    for asked, name in ((position, "--upto"), (after, "--after")):
        _check_position(connection, head, asked, name)
    if after > position:
        raise ExportError(f"the part would begin after position {after} and end at {position}")
    done = Exported(log, str(read_uuid(connection, head.log_number)), head.epoch, position, after)
    chart, node_of = INITIAL, {}
    if wanted.by_chart or wanted.node is not None:
        chart = _chart_at(connection, head.log_number, codec, position)
        node_of = _nodes_at(connection, head.log_number, codec, position)
    selection = _selection(connection, head, codec, wanted, chart, node_of, position)
    export = _Export(connection, codec, head, wanted, out, done, FORMATS[wanted.format], chart, node_of, selection)
    export.write(export.format.head(_facts(done, wanted)))
    if not after:
        export.write(export.format.currencies())
    types = codec.named(AccountOpened, TransactionPosted)
    at = after
    while at < position:
        page = read_log(connection, head.log_number, at, min(PAGE, position - at), types=types)
        if page.at_end:
            raise ExportError(f"nothing can be read after position {at} of {position}: daybook verify says why")
        export.page(page.events)
        at = page.upto
        progress(at, position)
    if wanted.balances:
        if wanted.since is not None:
            export.opening(wanted.since)
        export.assertions()
    return done


def _check_position(connection: Connection[Any], head: Head, position: int, name: str) -> None:
    """Raises `ExportError` for a position that is not the end of a unit."""
    if position > head.position:
        raise ExportError(f"{name} {position} is after the head of the log, {head.position}")
    row = connection.execute(
        "SELECT unit_end FROM log.events WHERE log = %s AND position = %s", (head.log_number, position)
    ).fetchone()
    if row is not None and row[0] != position:
        raise ExportError(f"{name} {position} is within what was written at once: that ends at {row[0]}")


def _facts(done: Exported, wanted: Wanted) -> Iterator[tuple[str, str]]:
    """What is stated on top of the file."""
    yield "Daybook", f"log {done.log}, {done.uuid}"
    yield "epoch", str(done.epoch)
    yield "position", str(done.position)
    if done.after:
        yield "after position", f"{done.after}; the file goes on where an export at that position ended"
    if wanted.since is not None:
        yield "value dates from", str(wanted.since)
    if wanted.until is not None:
        yield "value dates to", str(wanted.until)
    if wanted.accounts:
        yield "only transactions with", " ".join(wanted.accounts)
    if wanted.node is not None:
        yield "only transactions with accounts below node", wanted.node
    yield "personal texts", "yes" if wanted.personal else "no"
    yield "amounts", "debits are positive"


def _selection(
    connection: Connection[Any],
    head: Head,
    codec: Codec,
    wanted: Wanted,
    chart: Chart,
    node_of: dict[str, str],
    position: int,
) -> frozenset[str] | None:
    """The accounts whose transactions are wanted; None for all. Raises `ExportError` for one that does not exist."""
    if not wanted.accounts and wanted.node is None:
        return None
    if len(wanted.accounts) > MOST_ACCOUNTS:
        raise ExportError(f"{len(wanted.accounts)} accounts are named; the most is {MOST_ACCOUNTS}")
    selection = set(wanted.accounts)
    if selection:
        rows = connection.execute(_OPENINGS, (head.log_number, text_array(sorted(selection)))).fetchall()
        opened = {event.originator_id for event in _decoded(codec, rows) if isinstance(event, AccountOpened)}
        if unknown := sorted(selection - opened):
            raise ExportError(f"there is no account {', '.join(unknown)}")
    if wanted.node is not None:
        if chart.find(wanted.node) is None:
            raise ExportError(f"the chart of accounts has no node {wanted.node} at position {position}")
        below = {node.code for node in chart.nodes if wanted.node in {one.code for one in chart.lineage(node.code)}}
        selection |= {account for account, node in node_of.items() if node in below}
    return frozenset(selection)


def _chart_at(connection: Connection[Any], log_number: int, codec: Codec, position: int) -> Chart:
    """The chart of accounts at a position."""
    chart: Chart | None = None
    after = 0
    while found := read_stream(connection, log_number, CHART, after=after):
        for recorded in found:
            if recorded.position > position:
                return chart or INITIAL
            event = codec.decode(recorded.type, recorded.payload, recorded.stream, recorded.version)
            chart = evolve_chart(chart, event)
        after = found[-1].version
    return chart or INITIAL


def _nodes_at(connection: Connection[Any], log_number: int, codec: Codec, position: int) -> dict[str, str]:
    """The node of each account that is attached at a position."""
    types = codec.named(AccountAttached, AccountDetached)
    nodes: dict[str, str] = {}
    with connection.transaction(), connection.cursor(name="nodes") as cursor:
        cursor.execute(_ATTACHED, (log_number, position, text_array(types)))
        while rows := cursor.fetchmany(PAGE):
            for event in _decoded(codec, rows):
                if isinstance(event, AccountAttached):
                    nodes[event.originator_id] = event.node
    return nodes


def _decoded(codec: Codec, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
    """Events of stored rows. Raises `CodecError`."""
    events = codec.decode_many((type, bytes(payload), stream, version) for type, payload, stream, version in stored)
    for event in events:
        if isinstance(event, Exception):
            raise event
    return events
