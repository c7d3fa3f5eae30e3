"""Writes a bundle of a log that exists only in the file: transfers between accounts, as long as one asks for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from random import Random
from typing import IO, Final
from uuid import UUID

import orjson

from eventstore.log.leaf import StoredCommand, StoredEvent, command_record, leaf, leaf_hash, microseconds
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.proof.checkpoints import Checkpoint
from eventstore.proof.heads import Head, Heads, bucket_of, key_of, line_of, root_of_buckets
from eventstore.proof.notes import Signer
from eventstore.proof.tiles import Edge

SIGNER: Final = Signer("bench.example/main", b"b" * 32)
LOG: Final = UUID("01933b0e-7a6c-7c3e-8f00-0123456789ab")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS: Final = 10_000
EVENTS_OF_TRANSFER: Final = 3
_BATCH: Final = 1_024
"""Leaf hashes that are added to the tree at once."""
_ACTOR: Final = encoded_actor({"how": "token", "id": "client:01933b0e7a6c7c3e8f00", "roles": ["commands"]})


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    events: int
    bytes_of_leaves: int
    verifier: str


def write_bundle(path: Path, transfers: int, random: Random) -> Written:
    """Write the bundle of a whole log with so many transfers. A million events have 1 GB."""
    tree, heads, size, lines = Edge(), _Heads(), 0, _LINES_BEFORE
    hashes: list[bytes] = []
    with path.open("wb") as file:
        at = _write_beginning(file, transfers * EVENTS_OF_TRANSFER)
        for record, events in _units(transfers, random):
            file.write(b'{"record":{"bytes":"%b"}}\n' % b64encode(record))
            for event in events:
                # A leaf of no command ends with the length of no hashes.
                raw = leaf(LOG, event, ())[:-4] + (32).to_bytes(4, "big") + sha256(record).digest()
                file.write(b'{"leaf":{"bytes":"%b"}}\n' % b64encode(raw))
                hashes.append(leaf_hash(raw))
                heads.add(event)
                size += len(raw)
            lines += 1 + len(events)
            if len(hashes) >= _BATCH:
                tree.append(b"".join(hashes))
                hashes.clear()
        tree.append(b"".join(hashes))
        file.write(orjson.dumps({"end": {"lines": lines}}) + b"\n")
        file.seek(at)
        note = Checkpoint(SIGNER.name, tree.size, tree.root(), (heads.line(),)).sign([SIGNER])
        file.write(orjson.dumps({"checkpoint": {"note": str(note)}}).ljust(_CHECKPOINT_BYTES))
    return Written(tree.size, size, str(SIGNER.verifier))


_LINES_BEFORE: Final = 3
_CHECKPOINT_BYTES: Final = 1_000
"""The checkpoint is known at the end and stands at the beginning, so its line is filled with spaces."""


def _write_beginning(file: IO[bytes], size: int) -> int:
    """Write the lines before the leaves. Returns where the checkpoint goes."""
    header = {
        "format": "daybook.bundle",
        "version": 1,
        "kind": "log",
        "origin": SIGNER.name,
        "log": str(LOG),
        "size": size,
    }
    key = {"key": {"verifier": str(SIGNER.verifier), "since": "2026-01-01T00:00:00Z", "size": 0}}
    file.write(orjson.dumps(header) + b"\n" + orjson.dumps(key) + b"\n")
    at = file.tell()
    file.write(b" " * _CHECKPOINT_BYTES + b"\n")
    return at


def _units(transfers: int, random: Random) -> Iterator[tuple[bytes, list[StoredEvent]]]:
    """The record of each command and its events."""
    accounts = [f"acct_{random.getrandbits(128):026x}"[:31] for _ in range(ACCOUNTS)]
    versions = dict.fromkeys(accounts, 0)
    at, position = BEGIN, 0
    for number in range(transfers):
        at += timedelta(milliseconds=7)
        source, target = random.sample(accounts, 2)
        transaction, key = f"tx_{number:026x}", f"{random.getrandbits(128):032x}"
        versions[source] += 1
        versions[target] += 1
        amount, day = random.randrange(1, 1_000_000), at.date().isoformat()
        recorded_at, last = microseconds(at), position + EVENTS_OF_TRANSFER
        meta = metadata(_ACTOR, "Transfer", at, 1, key)
        share = {"amount": amount, "currency": "EUR", "entry": 1, "transaction": transaction, "value_date": day}
        sides = {"debit": source, "credit": target}
        posted = {
            "description": None,
            "entries": [
                {"account": account, "amount": amount, "currency": "EUR", "side": side}
                for side, account in sides.items()
            ],
            "kind": "transfer",
            "reference": f"inv-{number}",
            "subject": None,
            "value_date": day,
        }
        rows = (
            (transaction, 1, "transaction.posted.v1", posted),
            (source, versions[source], "account.debited.v1", share),
            (target, versions[target], "account.credited.v1", share | {"entry": 2}),
        )
        result = b'{"transaction":"%b","versions":{"%b":1}}' % (transaction.encode(), transaction.encode())
        command = StoredCommand(
            "client:01933b0e7a6c7c3e8f00", key, bytes(32), 1, 201, None, result, position, position + 1, last,
            recorded_at,
        )  # fmt: skip
        yield (
            command_record(LOG, command),
            [
                StoredEvent(place, last, stream, version, type, recorded_at, 0, orjson.dumps(payload), meta)
                for place, (stream, version, type, payload) in enumerate(rows, position + 1)
            ],
        )
        position = last


class _Heads:
    """The heads of all streams. A transaction has one event, so its head is packed at once: 81 bytes of memory."""

    def __init__(self) -> None:
        self._accounts: dict[str, bytes] = {}
        self._once: list[bytes] = []

    def add(self, event: StoredEvent) -> None:
        head = Head(key_of(event.stream), event.version, event.position).packed
        if event.type == "transaction.posted.v1":
            self._once.append(head)
        else:
            self._accounts[event.stream] = head

    def line(self) -> str:
        """The extension line of the checkpoint."""
        heads = sorted([*self._once, *self._accounts.values()])
        buckets = {bucket: b"".join(inside) for bucket, inside in groupby(heads, bucket_of)}
        return line_of(Heads(len(heads), root_of_buckets(buckets)))
