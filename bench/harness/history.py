"""Makes a long history in a short time: fills a log by COPY as the service would have written it.

The code of the service decides every command and encodes every event; only the append is different. A test checks that
the service writes the same rows for the same commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import psycopg
from psycopg import Copy

from bench.harness.ledger import CASH, CURRENCY, EACH_HAS, LOG, submission
from bench.harness.server import Database
from domain import registry
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import account_number
from domain.accounts.transaction import TRANSACTION, Deposit, Transfer
from domain.ids import TAIL, fresh_id, tails
from domain.kernel import Accepted
from domain.registry import SNAPSHOTS, WRITTEN_ONCE
from eventstore.executor.decided_commands import Submission
from eventstore.executor.snapshots import MOST_WAITING, JsonStates, Snapshots, is_due
from eventstore.log.answers import Outcome
from eventstore.log.append import JSON
from eventstore.log.codec import Codec
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from workers.composition import make_codec

BLOCK_ACCOUNTS, BLOCK_TRANSFERS, BLOCK_EVENTS = 50, 250, 1_000
"""A block opens accounts (two events each), deposits on each (three events) and transfers between accounts in use
(three events each). So every million events is like the next, and an account has eleven entries on average, whatever
the length of the log."""
BLOCKS_A_DAY = 20

_EVENTS = (
    "COPY log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload, metadata)"
    " FROM STDIN"
)
_COMMANDS = (
    "COPY log.commands (log, actor, key, request_hash, outcome, status, result, decided_position, first_position,"
    " last_position, recorded_at) FROM STDIN"
)


@dataclass(frozen=True, slots=True)
class History:
    """The accounts that were loaded, and the numbers of events and commands."""

    accounts: list[str]
    events: int
    commands: int


def load(database: Database, blocks: int, random: Random, in_use: int | None = None) -> History:
    """Fill log `main` of this database, which must be empty, with blocks of the days up to today.

    Only the `in_use` newest accounts take part in transfers; all accounts without it.
    """
    accounts: list[str] = []
    loader = write(database, submissions(blocks, accounts, random, in_use))
    return History(accounts, loader.position, loader.commands)


def write(database: Database, blocks: Iterable[tuple[datetime, Sequence[Submission]]]) -> Loader:
    """Decide these commands and write the results to log `main` of this database, which must be empty."""
    with connect(database.api_url, application_name="bench-history") as api:
        api.execute("SELECT log.create_log(%s)", (LOG,))
        head = read_head(api, LOG)
        if head.position:
            raise ValueError(f"log {LOG} has {head.position} events already")
        loader = Loader(head.log_number, make_codec(database.settings, api, head.log_number))
        # Two COPYs on two connections, so that the server works while the next commands are decided.
        with (
            psycopg.connect(database.url, autocommit=True) as first,
            psycopg.connect(database.url, autocommit=True) as second,
            first.cursor().copy(_EVENTS) as events,
            second.cursor().copy(_COMMANDS) as commands,
        ):
            for recorded_at, block in blocks:
                loader.carry_out(block, recorded_at, events, commands)
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute(
            "UPDATE log.logs SET position = %s, recorded_at = %s WHERE log = %s",
            (loader.position, loader.recorded_at, head.log_number),
        )
        owner.execute("SELECT setval('log.numbers', %s)", (max(1, len(loader.states)),))
        _keep_snapshots(database, head.log_number, loader.kept)
        # Autovacuum would do this.
        owner.execute("VACUUM (ANALYZE) log.events, log.commands, log.subject_keys, log.snapshots")
        owner.execute("CHECKPOINT")
    return loader


def submissions(
    blocks: int, accounts: list[str], random: Random, in_use: int | None = None
) -> Iterator[tuple[datetime, list[Submission]]]:
    """The commands of each block and its time. The ids of the opened accounts are added to `accounts`."""
    step = timedelta(days=1) / BLOCKS_A_DAY
    at = datetime.now(UTC).replace(microsecond=0) - blocks * step
    cash = OpenAccount(CASH, account_number("cash", 1), "cash", CURRENCY, LOG, "Cash", None, None, at.date())
    yield at, [submission(cash, at)]
    for _ in range(blocks):
        at += step
        yield at, [submission(command, at) for command in _block(accounts, at, random, in_use)]


def _block(
    accounts: list[str], at: datetime, random: Random, in_use: int | None
) -> Iterator[OpenAccount | Deposit | Transfer]:
    today, milliseconds = at.date(), int(at.timestamp() * 1000)

    def new_id(prefix: str) -> str:
        return fresh_id(prefix, milliseconds, tails(random.randbytes(TAIL))[0])

    for _ in range(BLOCK_ACCOUNTS):
        account, number = new_id(ACCOUNT), len(accounts) + 2
        accounts.append(account)
        yield OpenAccount(
            account,
            account_number("checking", number),
            "checking",
            CURRENCY,
            f"owner-{number}",
            f"Owner {number}",
            0,
            None,
            today,
        )
    for account in accounts[-BLOCK_ACCOUNTS:]:
        yield Deposit(new_id(TRANSACTION), account, EACH_HAS, CURRENCY, today)
    oldest = 0 if in_use is None else max(0, len(accounts) - in_use)
    for _ in range(BLOCK_TRANSFERS):
        source, target = random.sample(range(oldest, len(accounts)), 2)
        yield Transfer(
            new_id(TRANSACTION), accounts[source], accounts[target], random.randint(1, 10_000), CURRENCY, today
        )


class Loader:
    """Holds the states of all accounts and the position of the log."""

    def __init__(self, log_number: int, codec: Codec) -> None:
        self.states: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}  # states at their last due snapshot
        self.position = 0
        self.commands = 0
        self.recorded_at: datetime | None = None
        self._log_number = log_number
        self._codec = codec

    def carry_out(self, block: Sequence[Submission], recorded_at: datetime, events: Copy, commands: Copy) -> None:
        """Decide these commands in order, and write the rows that the append would have written."""
        decided = [(one, self._decide(one)) for one in block]
        names, payloads = self._codec.encode_all([event for _, accepted in decided for event in accepted.events])
        encoded = zip(names, payloads, strict=True)
        at, log_number = recorded_at.isoformat(), self._log_number
        event_lines, command_lines = [], []
        for one, accepted in decided:
            before, self.position = self.position, self.position + len(accepted.events)
            metadata, versions = _text(one.metadata), {}
            for position, event in enumerate(accepted.events, before + 1):
                stream, version = event.originator_id, event.originator_version
                name, payload = next(encoded)
                event_lines.append(
                    f"{log_number}\t{position}\t{self.position}\t{stream}\t{version}\t{name}\t{at}\t{JSON}\t{_text(payload)}\t"
                    f"{metadata}\n"
                )
                if stream not in accepted.commuting:
                    versions[stream] = version
            result = orjson.dumps({**accepted.result, "versions": versions}, option=orjson.OPT_SORT_KEYS)
            command_lines.append(
                f"{log_number}\t{one.actor}\t{one.key}\t\\\\x{one.request_hash.hex()}\t{Outcome.ACCEPTED:d}\t"
                f"{one.codes.accepted}\t{_text(result)}\t{before}\t{before + 1}\t{self.position}\t{at}\n"
            )
        events.write("".join(event_lines))
        commands.write("".join(command_lines))
        self.commands += len(block)
        self.recorded_at = recorded_at

    def _decide(self, submission: Submission) -> Accepted:
        known = self.states
        states = {stream: known.get(stream) for stream in submission.command.streams}
        decision = registry.decide(submission.command, states, submission.context)
        while decision.outcome == "needs_streams":
            states |= {stream: known.get(stream) for stream in decision.streams}
            decision = registry.decide(submission.command, states, submission.context)
        assert isinstance(decision, Accepted), decision
        for event in decision.events:
            stream = event.originator_id
            if not stream.startswith(WRITTEN_ONCE):
                known[stream] = state = registry.evolve(known.get(stream), event)
                if is_due(state.version - 1, state.version):
                    self.kept[stream] = state
        return decision


def _text(json: bytes) -> str:
    """A bytea for COPY. Without backslashes, the escape format is the bytes themselves."""
    text = json.decode()
    assert "\\" not in text, text
    return text


def _keep_snapshots(database: Database, log_number: int, states: dict[str, Any]) -> None:
    """Write the snapshots that the service would have kept. Raises `RuntimeError` if one is not kept."""
    codec = JsonStates(SNAPSHOTS)
    states = {stream: state for stream, state in states.items() if codec.covers(stream)}
    kept = Snapshots(lambda: connect(database.api_url, application_name="bench-history"), log_number, codec)
    with kept:
        for number, (stream, state) in enumerate(states.items(), 1):
            kept.offer(stream, state, state.version - 1)
            if number % MOST_WAITING == 0:
                kept.settle()  # more waiting states would be dropped
    if kept.statistics.kept != len(states):
        raise RuntimeError(f"{kept.statistics.kept} of {len(states)} snapshots were kept")
