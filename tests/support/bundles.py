"""Bundles of logs that exist only here: their leaves, trees, heads, checkpoints and proofs, computed the slow way.

A log is made of units, as commands append them. It becomes the lines of a bundle, which a test may change before they
are encoded. Everything that is signed can also be made by a forger who has the key: from a log that was changed.
"""

from __future__ import annotations

import hashlib
import io
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from struct import Struct
from typing import Any, Final
from uuid import UUID

import orjson

from domain.money import show
from eventstore.log.leaf import StoredCommand, StoredEvent, command_record, leaf, leaf_hash, microseconds
from eventstore.proof.checkpoints import Checkpoint
from eventstore.proof.cosignatures import cosign
from eventstore.proof.notes import COSIGNATURE, Note, Signer
from tests.support.merkle import naive_path, naive_proof, naive_root
from workers.daybook_verify import COSIGNATURE as TYPE_OF_WITNESS
from workers.daybook_verify import ED25519 as TYPE_OF_LOG
from workers.daybook_verify import Kept, Key, Report, Trust, parse_checkpoint, parse_key, verify

ORIGIN: Final = "ledger.example/main"
LOG: Final = UUID("01933b0e-7a6c-7c3e-8f00-0123456789ab")
SIGNER: Final = Signer(ORIGIN, b"k" * 32)
NEW_SIGNER: Final = Signer(ORIGIN, b"n" * 32)
WITNESS: Final = Signer("auditor.example", b"w" * 32, COSIGNATURE)
BEGIN: Final = datetime(2026, 11, 30, 23, 59, 10, tzinfo=UTC)
NOW: Final = datetime(2026, 12, 24, tzinfo=UTC)
"""When the bundles are verified."""

Line = dict[str, Any]
_HEAD: Final = Struct(">32sqq")
_BUCKETS: Final = 65_536


@dataclass
class Ledger:
    """A log in memory. Each unit is recorded ten seconds after the one before it."""

    log: UUID = LOG
    now: datetime = BEGIN
    events: list[StoredEvent] = field(default_factory=list)
    commands: list[StoredCommand] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of events."""
        return len(self.events)

    def unit(
        self,
        key: str,
        events: Sequence[tuple[str, str, Mapping[str, Any]]],
        *,
        actor: str = "ada",
        rule: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Append the events of a command: stream, type and payload of each."""
        first, last, at = self.size + 1, self.size + len(events), microseconds(self.now)
        metadata = {"actor": {"id": actor, "how": "token"}, "command": "Do", "correlation": key, "key": key, "rules": 1}
        for position, (stream, type, payload) in enumerate(events, first):
            self.versions[stream] = self.versions.get(stream, 0) + 1
            self.events.append(
                StoredEvent(
                    position, last, stream, self.versions[stream], type, at, 0, _json(payload), _json(metadata)
                )
            )  # fmt: skip
        self.commands.append(
            StoredCommand(
                actor, key, hashlib.sha256(key.encode()).digest(), 2 if rule else 1, 422 if rule else 201, rule,
                _json(result or {"versions": {}}), first - 1, first, last, at,
            )
        )  # fmt: skip
        self.now += timedelta(seconds=10)

    def open(self, account: str, currency: str = "EUR") -> None:
        """Open an account."""
        self.unit(
            f"open-{account}",
            [(account, "account.opened.v1", {"number": f"N-{account}", "type": "checking", "currency": currency,
                                             "owner": "ada", "name": "sealed:Zm9v"})],
        )  # fmt: skip

    def transfer(
        self, source: str, target: str, amount: int, *, currency: str = "EUR", value_date: str | None = None
    ) -> None:
        """Move minor units between two accounts."""
        transaction = f"tx_{self.size + 1:06d}"
        day = value_date or self.now.date().isoformat()
        entries = [
            {"account": source, "side": "debit", "amount": amount, "currency": currency},
            {"account": target, "side": "credit", "amount": amount, "currency": currency},
        ]
        posted = {"kind": "transfer", "value_date": day, "entries": entries, "reference": None, "description": None}
        shares = [
            {"transaction": transaction, "entry": number, "amount": amount, "currency": currency, "value_date": day}
            for number in (1, 2)
        ]
        self.unit(
            f"pay-{transaction}",
            [
                (transaction, "transaction.posted.v1", posted),
                (source, "account.debited.v1", shares[0]),
                (target, "account.credited.v1", shares[1]),
            ],
        )

    def freeze(self, account: str, sealed: str) -> None:
        """An event with a personal field, which is sealed."""
        self.unit(f"freeze-{account}-{self.size}", [(account, "account.frozen.v1", {"owner": "ada", "reason": sealed})])

    def refuse(self, key: str) -> None:
        """A command that is refused."""
        figures = {"amount": "5.00"}
        payload = {"actor": "ada", "key": key, "command": "Do", "rule": "too_much", "figures": figures}
        self.unit(key, [(f"refusal_{key}", "command.refused.v1", payload)], rule="too_much", result=figures)

    def command_of(self, event: StoredEvent) -> list[StoredCommand]:
        """The commands of the unit of an event."""
        return [one for one in self.commands if one.last_position == event.unit_end]

    def leaf(self, event: StoredEvent) -> bytes:
        """The canonical leaf of an event."""
        return leaf(self.log, event, self.command_of(event))

    def leaves(self) -> list[bytes]:
        """The leaves of all events."""
        by_end: dict[int | None, list[StoredCommand]] = {}
        for command in self.commands:
            by_end.setdefault(command.last_position, []).append(command)
        return [leaf(self.log, event, by_end.get(event.unit_end, [])) for event in self.events]

    def copy(self) -> Ledger:
        """A log of its own with the same content."""
        return deepcopy(self)

    def change(self, position: int, **columns: Any) -> Ledger:
        """A copy in which columns of an event are others."""
        changed = self.copy()
        changed.events[position - 1] = replace(changed.events[position - 1], **columns)
        return changed

    def upto(self, position: int) -> Ledger:
        """The log as it was at a position."""
        events = self.events[:position]
        commands = [one for one in self.commands if (one.last_position or 0) <= position]
        return replace(self, events=events, commands=commands, versions={one.stream: one.version for one in events})


def small_ledger() -> Ledger:
    """A log with what the verifier looks at. It begins before midnight, so its entries are of two days."""
    ledger = Ledger()
    for account in ("acct_a", "acct_b"):
        ledger.open(account)
    ledger.open("acct_y", "JPY")
    ledger.transfer("acct_a", "acct_b", 1250)
    ledger.refuse("too-much")
    ledger.transfer("acct_b", "acct_a", 5, value_date="2026-11-28")
    ledger.freeze("acct_b", "sealed:AAAA")
    ledger.transfer("acct_a", "acct_b", 70_000)
    ledger.transfer("acct_a", "acct_b", 1, value_date="2026-11-29")
    return ledger


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def b64(raw: bytes) -> str:
    """Base64 as a bundle has it."""
    return b64encode(raw).decode()


# Heads of streams


@dataclass
class Heads:
    """The heads of the streams of a log."""

    events: Sequence[StoredEvent]
    last: dict[str, StoredEvent] = field(init=False)
    buckets: dict[int, list[bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self.last = {event.stream: event for event in self.events}
        self.buckets = {}
        for head in sorted(self._head(event) for event in self.last.values()):
            self.buckets.setdefault(int.from_bytes(head[:2], "big"), []).append(head)
        self._roots = {
            bucket: leaf_hash(naive_root([leaf_hash(head) for head in heads])) for bucket, heads in self.buckets.items()
        }

    @property
    def line(self) -> str:
        """The extension line."""
        return f"daybook.heads.v1 {len(self.last)} {b64(self._root(0, 16))}"

    def proof(self, stream: str) -> Line:
        """The line of a bundle with the head of a stream."""
        event = self.last[stream]
        head = self._head(event)
        bucket = int.from_bytes(head[:2], "big")
        heads = self.buckets[bucket]
        index = heads.index(head)
        top = [self._root((bucket >> height ^ 1) << height, height) for height in range(16)]
        return {
            "head": {
                "stream": stream,
                "version": event.version,
                "position": event.position,
                "index": index,
                "streams": len(heads),
                "bucket": [b64(hash) for hash in naive_path(index, [leaf_hash(one) for one in heads])],
                "top": [b64(hash) for hash in top],
            }
        }

    def _head(self, event: StoredEvent) -> bytes:
        return _HEAD.pack(hashlib.sha256(event.stream.encode()).digest(), event.version, event.position)

    def _root(self, first: int, height: int) -> bytes:
        """The root of `2**height` buckets."""
        if height == 0:
            return self._roots.get(first, _EMPTY[0])
        if not any(first <= bucket < first + (1 << height) for bucket in self._roots):
            return _EMPTY[height]
        half = 1 << height - 1
        return _node(self._root(first, height - 1), self._root(first + half, height - 1))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


_EMPTY: Final = list(accumulate(range(16), lambda hash, _: _node(hash, hash), initial=leaf_hash(naive_root([]))))


# Bundles


@dataclass
class Bundles:
    """Writes bundles of a log. `keys` are the signers with the size since when they sign, the oldest first."""

    ledger: Ledger
    keys: Sequence[tuple[Signer, int]] = ((SIGNER, 0),)
    witnesses: Sequence[Signer] = (WITNESS,)
    sizes: Sequence[int] = ()
    """The sizes of checkpoints before the last one."""
    cosigned_at: datetime = NOW - timedelta(days=1)

    def note(self, size: int | None = None, signers: Sequence[Signer] | None = None) -> str:
        """The checkpoint of a size, by the key of its time unless signers are given, and by the witnesses."""
        ledger = self.ledger.upto(self.ledger.size if size is None else size)
        in_force = [signer for signer, since in self.keys if since < ledger.size or since == 0][-1]
        hashes = [leaf_hash(one) for one in self.ledger.leaves()[: ledger.size]]
        checkpoint = Checkpoint(ORIGIN, ledger.size, naive_root(hashes), (Heads(ledger.events).line,))
        note = checkpoint.sign([in_force] if signers is None else signers)
        cosignatures = [cosign(witness, note.text, self.cosigned_at) for witness in self.witnesses]
        return str(Note(note.text, (*note.signatures, *cosignatures)))

    def log(self) -> list[Line]:
        """The whole log."""
        lines, commands = self._begin("log"), {one.last_position: one for one in self.ledger.commands}
        for event, raw in zip(self.ledger.events, self.ledger.leaves(), strict=True):
            if event.position == event.unit_end and event.position in commands:
                lines.append(self._record(commands[event.position]))
            lines.append({"leaf": {"bytes": b64(raw)}})
        return lines

    def stream(self, stream: str) -> list[Line]:
        """All events of a stream."""
        lines = self._begin("stream", stream=stream)
        return [*lines, *self._proven(stream), Heads(self.ledger.events).proof(stream)]

    def statement(self, account: str, since: str, until: str, by: str = "booking") -> list[Line]:
        """A statement of an account, and all events of the account."""
        return [
            *self._begin("statement", stream=account),
            *self._proven(account),
            Heads(self.ledger.events).proof(account),
            {"statement": statement_of(self.ledger, account, since, until, by)},
        ]

    def event(self, position: int) -> list[Line]:
        """One event."""
        return [*self._begin("event", position=position), self._leaf(self.ledger.events[position - 1])]

    def command(self, actor: str, key: str) -> list[Line]:
        """The unit of a command."""
        (command,) = [one for one in self.ledger.commands if (one.actor, one.key) == (actor, key)]
        unit = [event for event in self.ledger.events if event.unit_end == command.last_position]
        lines = self._begin("command", actor=actor, command=key)
        return [*lines, self._record(command), *(self._leaf(event) for event in unit)]

    def _begin(self, kind: str, **asked: Any) -> list[Line]:
        size, hashes = self.ledger.size, [leaf_hash(one) for one in self.ledger.leaves()]
        sizes = [*self.sizes, size]
        header = {
            "format": "daybook.bundle", "version": 1, "kind": kind, "origin": ORIGIN, "log": str(self.ledger.log),
            "size": size, **asked,
        }  # fmt: skip
        keys = [
            {"key": {"verifier": str(signer.verifier), "since": "2026-11-30T12:00:00Z", "size": since}}
            for signer, since in self.keys
        ]
        witnesses = [{"witness": {"verifier": str(witness.verifier)}} for witness in self.witnesses]
        checkpoints = [{"checkpoint": {"note": self.note(one)}} for one in sizes]
        proofs = [
            {"consistency": {"from": old, "to": new, "proof": [b64(hash) for hash in naive_proof(old, hashes[:new])]}}
            if old
            else {"consistency": {"from": old, "to": new, "proof": []}}
            for old, new in pairwise(sizes)
        ]
        return [header, *keys, *witnesses, *checkpoints, *proofs]

    def _proven(self, stream: str) -> list[Line]:
        return [self._leaf(event) for event in self.ledger.events if event.stream == stream]

    def _leaf(self, event: StoredEvent) -> Line:
        hashes = [leaf_hash(one) for one in self.ledger.leaves()]
        proof = [b64(hash) for hash in naive_path(event.position - 1, hashes)]
        return {"leaf": {"bytes": b64(self.ledger.leaf(event)), "proof": proof}}

    def _record(self, command: StoredCommand) -> Line:
        return {"record": {"bytes": b64(command_record(self.ledger.log, command))}}


def encode(lines: Iterable[Line]) -> bytes:
    """The file of these lines, with its last line."""
    encoded = [orjson.dumps(line) + b"\n" for line in lines]
    return b"".join([*encoded, orjson.dumps({"end": {"lines": len(encoded)}}) + b"\n"])


def leaf_lines(lines: Sequence[Line]) -> list[int]:
    """The places of the lines with leaves."""
    return [place for place, line in enumerate(lines) if "leaf" in line]


def raw_leaf(line: Line) -> bytes:
    """The bytes of the leaf of a line."""
    return b64decode(line["leaf"]["bytes"])


# Verifying

TRUSTED: Final = parse_key(str(SIGNER.verifier), TYPE_OF_LOG, "the key")
NEW_TRUSTED: Final = parse_key(str(NEW_SIGNER.verifier), TYPE_OF_LOG, "the key")
TRUSTED_WITNESS: Final = parse_key(str(WITNESS.verifier), TYPE_OF_WITNESS, "the key")


def verified(
    lines: Iterable[Line],
    *,
    keys: Sequence[Key] = (TRUSTED,),
    kept: Sequence[str] = (),
    witnesses: Sequence[Key] = (),
    now: datetime = NOW,
) -> Report:
    """The report of the verifier. `kept` are notes."""
    return verified_bytes(encode(lines), keys=keys, kept=kept, witnesses=witnesses, now=now)


def verified_bytes(
    raw: bytes,
    *,
    keys: Sequence[Key] = (TRUSTED,),
    kept: Sequence[str] = (),
    witnesses: Sequence[Key] = (),
    now: datetime = NOW,
) -> Report:
    """The report of the verifier on a file."""
    heads = [Kept(f"kept-{number}", parse_checkpoint(note, None)) for number, note in enumerate(kept)]
    trust = Trust(keys, witnesses, len(witnesses), heads, microseconds(now))
    return verify(io.BufferedReader(io.BytesIO(raw)), trust)


# Statements


def statement_of(ledger: Ledger, account: str, since: str, until: str, by: str = "booking") -> Line:
    """The statement of an account up to the end of the log, in the simplest way."""
    currency = next(
        orjson.loads(event.payload)["currency"] for event in ledger.events if event.type == "account.opened.v1"
        and event.stream == account
    )  # fmt: skip
    entries = [event for event in ledger.events if event.stream == account and event.type in _SIGNS]
    numbered = [(_day_of(event, by), number, event) for number, event in enumerate(entries, 1)]
    opening = sum(_amount(event) for day, _, event in numbered if day < since)
    period = [one for one in numbered if since <= one[0] <= until]
    if by == "value":
        period.sort(key=lambda one: one[:2])
    amounts = [_amount(event) for *_, event in period]
    balances = list(accumulate(amounts, initial=opening))
    return {
        "account": account,
        "number": f"N-{account}",
        "type": "checking",
        "currency": currency,
        "owner": "ada",
        "name": "Ada",
        "from": since,
        "to": until,
        "by": by,
        "as_of": f"main.1.{ledger.size}",
        "opening": show(opening, currency),
        "debits": show(-sum(amount for amount in amounts if amount < 0), currency),
        "credits": show(sum(amount for amount in amounts if amount > 0), currency),
        "net": show(sum(amounts), currency),
        "closing": show(balances[-1], currency),
        "entries": len(period),
        "items": [
            _item(number, event, currency, balance)
            for (_, number, event), balance in zip(period, balances[1:], strict=True)
        ],
    }


_SIGNS: Final = {"account.credited.v1": 1, "account.debited.v1": -1}


def _amount(event: StoredEvent) -> int:
    amount: int = orjson.loads(event.payload)["amount"]
    return amount * _SIGNS[event.type]


def _day_of(event: StoredEvent, by: str) -> str:
    if by == "value":
        value_date: str = orjson.loads(event.payload)["value_date"]
        return value_date
    return date.fromordinal(date(1970, 1, 1).toordinal() + event.recorded_at // 86_400_000_000).isoformat()


def _item(number: int, event: StoredEvent, currency: str, balance: int) -> Line:
    payload = orjson.loads(event.payload)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event.recorded_at)
    return {
        "number": number,
        "transaction": payload["transaction"],
        "entry": payload["entry"],
        "kind": "transfer",
        "reference": None,
        "description": None,
        "description_erased": False,
        "parent": None,
        "relation": None,
        "counterparties": [],
        "counterparties_in_all": 1,
        "value_date": payload["value_date"],
        "recorded_at": orjson.loads(orjson.dumps(at, option=orjson.OPT_UTC_Z)),
        "position": event.position - orjson.loads(event.payload)["entry"],  # that of the transaction
        "amount": show(_amount(event), currency),
        "balance": show(balance, currency),
    }
