#!/usr/bin/env python3
"""daybook-verify checks a bundle without trusting the Daybook that wrote it, and without access to it.

    python daybook_verify.py BUNDLE --key VERIFIER [--kept FILE] [--witness VERIFIER]

It is this one file. It needs Python 3.11 or later and the package `cryptography`, and imports nothing of Daybook. The
format of a bundle is in docs/bundle.md, how to use this program in docs/howto/check-the-ledger.md.

The file repeats ideas that Daybook has elsewhere: the Merkle tree, notes, leaves, heads of streams, money. That is on
purpose. Somebody who does not trust Daybook reads this file alone, and an error of the one implementation is found by
the other. Nowhere else does the repository have a second copy of an idea (docs/adr/0072-bundle-and-verifier.md).

The bundle is read once, line by line. What has to be compared by stream is sorted on disk, so memory stays bounded.

Exit code 0: all holds that could be checked. 1: something is wrong with the bundle. 2: the command line is wrong, or a
file cannot be read or written.
"""

from __future__ import annotations

import argparse
import binascii
import gzip
import hashlib
import heapq
import io
import json
import os
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import IO, Any, Final, NamedTuple, NoReturn, cast
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = "daybook.bundle"
VERSION: Final = 1
MOST_LINE_BYTES: Final = 16 * 1024 * 1024
MOST_KEYS: Final = 100
"""Most keys, and most witnesses, of a bundle."""
MOST_CHECKPOINTS: Final = 10_000
MOST_UNIT: Final = 10_000
"""Most events that one command appends. It bounds what is kept in memory for a unit."""
MOST_INTEGER: Final = 2**63 - 1
HASH_BYTES: Final = 32
SHOWN: Final = 10
"""Most findings of a check that are shown. All of them are counted."""
SHOWN_CHARACTERS: Final = 80
"""Most characters that are shown of a text of the bundle. Control characters are escaped: they could forge a line."""
MOST_NAME_CHARACTERS: Final = 1_000
"""Most characters of the name of a stream, an actor and the like. It bounds what is kept in memory for a unit."""
MOST_PROOF: Final = 64
"""Most hashes of a proof: a tree has at most `MOST_INTEGER` leaves."""
MOST_NOTES_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of all checkpoints."""
TOLERANCE: Final = 10 * 60 * 1_000_000
"""Microseconds that a time may be after the clock of whoever verifies: clocks differ."""


class Malformed(Exception):
    """The bundle does not have its format, so nothing after this line can be read. The message is one sentence."""


class Misused(Exception):
    """The command line is wrong, or a file cannot be read. The message is one sentence."""


# The report: what was checked and how much of it, what is wrong, and what could not be checked


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and where: a line of the bundle, a position of the log, or both."""

    check: str
    what: str
    line: int | None = None
    position: int | None = None

    def __str__(self) -> str:
        places = [f"{name} {number}" for name, number in (("line", self.line), ("position", self.position)) if number]
        return f"{', '.join(places)}: {self.what}" if places else self.what


@dataclass
class Check:
    """A check, how many things it covered, and what it found."""

    name: str
    counted: str  # the things that `covered` counts
    covered: int = 0
    offences: int = 0
    findings: list[Finding] = field(default_factory=list)  # the first ones

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.offences == 0

    def find(self, what: str, line: int | None = None, position: int | None = None) -> None:
        """Count a finding, and keep it if it is among the first."""
        self.offences += 1
        if len(self.findings) < SHOWN:
            self.findings.append(Finding(self.name, what, line, position))


@dataclass
class Report:
    """The result of a run. Whether the bundle holds follows from the findings, so the two cannot differ."""

    header: dict[str, Any] = field(default_factory=dict)
    root: str | None = None
    note: str | None = None  # the last checkpoint, to be kept
    malformed: Finding | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    not_checked: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.malformed is None and all(check.ok for check in self.checks.values())

    @property
    def findings(self) -> list[Finding]:
        """The findings that are shown."""
        shown = [finding for check in self.checks.values() for finding in check.findings]
        return shown if self.malformed is None else [*shown, self.malformed]

    @property
    def more(self) -> int:
        """How many findings are not shown."""
        return sum(check.offences - len(check.findings) for check in self.checks.values())

    def check(self, name: str, counted: str) -> Check:
        """The check with this name."""
        return self.checks.setdefault(name, Check(name, counted))

    def as_json(self) -> dict[str, Any]:
        """The form of `--json`. A bundle that could not be read to its end has no checks."""
        checks = [] if self.malformed is not None else list(self.checks.values())
        return {
            "ok": self.ok,
            "bundle": {**self.header, "root": self.root},
            "checks": [
                {
                    "name": c.name,
                    "counted": c.counted,
                    "covered": c.covered,
                    "offences": c.offences,
                    "ok": not c.offences,
                }
                for c in checks
            ],
            "findings": [
                {"check": f.check, "line": f.line, "position": f.position, "what": f.what, "sentence": str(f)}
                for f in self.findings
            ],
            "more_findings": self.more,
            "not_checked": [] if self.malformed is not None else self.not_checked,
        }

    def as_text(self) -> Iterator[str]:
        """The report for a person, a line each."""
        if self.header:
            header = self.header
            asked = "".join(f", {name} {repr(header[name])[:SHOWN_CHARACTERS]}" for name in KINDS[header["kind"]])
            yield f"bundle of the kind {header['kind']}{asked}: log {header['origin']}, up to position {header['size']}"
        if self.malformed is None:
            yield from _table("holds", [c for c in self.checks.values() if c.covered and not c.offences])
        if not self.ok:
            yield "wrong:"
            yield from (f"  {finding}" for finding in self.findings)
        if self.more:
            yield f"  and {self.more:,} more of the same kinds"
        if self.malformed is None and self.not_checked:
            yield "could not check:"
            yield from (f"  {what}" for what in self.not_checked)
        if self.malformed is not None:
            yield "This bundle does not have the format of one. What comes after that line was not looked at."
        elif self.ok:
            yield "Everything that could be checked holds."
        else:
            number = sum(check.offences for check in self.checks.values())
            yield f"This bundle does not hold: {number:,} finding{'s' if number > 1 else ''}."


def _table(title: str, checks: Sequence[Check]) -> Iterator[str]:
    if checks:
        yield f"{title}:"
        width = max(len(check.name) for check in checks)
        yield from (f"  {check.name:{width}}  {check.covered:,} {check.counted}" for check in checks)


# The Merkle tree of RFC 9162. Leaves are counted from 0.


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf. It keeps the roots of its complete subtrees, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, hash: bytes) -> None:
        """Add the hash of a leaf."""
        peaks, size = self._peaks, self.size
        while size & 1:
            hash = hashlib.sha256(b"\x01" + peaks.pop() + hash).digest()
            size >>= 1
        peaks.append(hash)
        self.size += 1

    def root(self) -> bytes:
        """The root of the leaves so far."""
        if not self._peaks:
            return hashlib.sha256().digest()
        root, *rest = reversed(self._peaks)
        for left in rest:
            root = node_hash(left, root)
        return root


def root_from(index: int, size: int, hash: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root to which an inclusion proof leads from the hash of a leaf; None if it has the wrong length.

    RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    at, last = index, size - 1
    for other in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            hash = node_hash(other, hash)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            hash = node_hash(hash, other)
        at, last = at >> 1, last >> 1
    return hash if last == 0 else None


def continues(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that one tree is the beginning of a larger one (RFC 9162, 2.1.4.2)."""
    if old == 0:
        return not proof
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    of_old = of_new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            of_old, of_new = node_hash(other, of_old), node_hash(other, of_new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            of_new = node_hash(of_new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and of_old == old_root and of_new == new_root


# JSON, base64 and times, in one spelling each


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has two members of the same name")
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer")


_JSON: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_number, parse_constant=_no_number)


def decode_json(raw: bytes) -> Any:
    """The value of JSON in UTF-8, without floats. Raises `ValueError` with a reason."""
    try:
        text = raw.decode()
        value, end = _JSON.raw_decode(text)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if end < len(text) and text[end:].strip(" \t\r\n"):
        raise ValueError(f"it is not JSON: something follows at character {end + 1}")
    return value


def decode_base64(text: str | bytes, what: str) -> bytes:
    """The bytes of base64 in its only spelling. Raises `Malformed`."""
    try:
        encoded = text.encode("ascii") if isinstance(text, str) else text
        raw = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        raise Malformed(f"{what} is not base64") from None
    if binascii.b2a_base64(raw, newline=False) != encoded:  # bits after the last byte
        raise Malformed(f"{what} is not base64 in its only spelling")
    return raw


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECONDS_OF_DAY: Final = 86_400_000_000
_FIRST_TIME: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST_TIME: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def show_time(microseconds: int) -> str:
    """A time as Daybook writes it. Times that no calendar has are shown as numbers."""
    if not _FIRST_TIME <= microseconds <= _LAST_TIME:
        return f"at {microseconds} microseconds after 1970"
    at = _EPOCH + timedelta(microseconds=microseconds)
    return at.isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> int:
    """Microseconds since 1970 of a time with its offset. Raises `ValueError`."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time has its offset, such as Z")
    return (at - _EPOCH) // timedelta(microseconds=1)


def day_of(microseconds: int) -> str:
    """The day of a time in UTC, such as 2026-11-30."""
    return date.fromordinal(_EPOCH_DAY + microseconds // _MICROSECONDS_OF_DAY).isoformat()


_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def is_day(text: Any) -> bool:
    """Whether it is a day such as 2026-11-30."""
    if not isinstance(text, str) or _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


# Members of objects. Every member is asked for, so none is taken for granted.


def members(value: Any, what: str, needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """The object, if it has these members and no others. Raises `Malformed`."""
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object")
    needed = set(needed)
    if missing := sorted(needed - value.keys()):
        raise Malformed(f"{what} has no member {missing[0]!r}")
    if unknown := sorted(value.keys() - needed - set(optional)):
        raise Malformed(f"{what} has the member {unknown[0][:80]!r}, which this program does not know")
    return value


def text_of(value: Any, what: str) -> str:
    """The text. Raises `Malformed`."""
    if not isinstance(value, str):
        raise Malformed(f"{what} is not a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{what} has half a character") from None
    return value


def integer_of(value: Any, what: str) -> int:
    """The integer, which is not negative. Raises `Malformed`."""
    if type(value) is not int:
        raise Malformed(f"{what} is not an integer")
    if not 0 <= value <= MOST_INTEGER:
        raise Malformed(f"{what} is not between 0 and {MOST_INTEGER}")
    return value


def bytes_of(value: Any, what: str) -> bytes:
    """The bytes of base64. Raises `Malformed`."""
    return decode_base64(text_of(value, what), what)


def hashes_of(value: Any, what: str) -> list[bytes]:
    """The hashes of a proof. Raises `Malformed`."""
    if not isinstance(value, list):
        raise Malformed(f"{what} is not a list")
    if len(value) > MOST_PROOF:
        raise Malformed(f"{what} has {len(value)} hashes, and no proof has more than {MOST_PROOF}")
    hashes = [bytes_of(one, f"a hash of {what}") for one in value]
    if any(len(hash) != HASH_BYTES for hash in hashes):
        raise Malformed(f"{what} has a hash that does not have {HASH_BYTES} bytes")
    return hashes


# Keys and signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature)

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
MOST_NOTE_BYTES: Final = 64 * 1024
MOST_SIGNATURES: Final = 64
MOST_NAME_BYTES: Final = 255
MOST_EXTENSIONS: Final = 16
MOST_TEXT_LINE: Final = 1_000
HEADS: Final = "daybook.heads.v1"
"""The name of the extension line that commits to the heads of streams."""
_SIGNATURE: Final = re.compile(r"— ([^ \n]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Key(NamedTuple):
    """A public key of Ed25519."""

    name: str
    id: str  # 8 hexadecimal digits
    type: int
    raw: bytes

    def __str__(self) -> str:
        return f"{self.name}+{self.id}"

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether it signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_key(text: str, type: int, what: str) -> Key:
    """The public key of `name+id+base64`. Raises `Malformed`."""
    name, _, rest = text.partition("+")
    id, _, encoded = rest.partition("+")
    if not encoded or re.fullmatch("[0-9a-f]{8}", id) is None:
        raise Malformed(f"{what} is not of the form name+id+base64, with an id of 8 hexadecimal digits")
    check_name(name, what)
    raw = decode_base64(encoded, what)
    if raw[:1] != bytes([type]):
        raise Malformed(f"{what} has the type {raw[:1].hex() or 'none'}; only {type:02x} of Ed25519 can be here")
    if len(raw) != 1 + HASH_BYTES:
        raise Malformed(f"{what} has {len(raw) - 1} bytes, and a key of Ed25519 has {HASH_BYTES}")
    if hashlib.sha256(f"{name}\n".encode() + raw).hexdigest()[:8] != id:
        raise Malformed(f"{what} does not have the id {id}: a character was changed")
    return Key(name, id, type, raw[1:])


def check_name(name: str, what: str) -> None:
    """Raise `Malformed` for what cannot be the name of a key, such as an origin with a newline."""
    if not 0 < len(name.encode()) <= MOST_NAME_BYTES:
        raise Malformed(f"the name of {what} does not have from 1 to {MOST_NAME_BYTES} bytes")
    if "+" in name or any(c.isspace() for c in name) or not name.isprintable():
        raise Malformed(f"the name of {what} has a space, a plus or a control character: {name[:80]!r}")


class Signature(NamedTuple):
    """A line of a note."""

    name: str
    id: str
    raw: bytes


class Checkpoint(NamedTuple):
    """A note with a head of the tree, and its place in the bundle or the name of its file."""

    line: int | None
    note: str
    text: str
    signatures: list[Signature]
    origin: str
    size: int
    root: bytes
    extensions: list[str]


def parse_checkpoint(note: str, line: int | None) -> Checkpoint:
    """The checkpoint of a note. No signature is verified. Raises `Malformed`."""
    text, signatures = _parse_note(note)
    lines = text[:-1].split("\n")
    if len(lines) < 3:
        raise Malformed(f"a checkpoint has the lines origin, size and root, and this one has {len(lines)}")
    if len(lines) > 3 + MOST_EXTENSIONS:
        raise Malformed(f"a checkpoint has at most {MOST_EXTENSIONS} extension lines")
    for one in lines:
        if not one or len(one) > MOST_TEXT_LINE or not one.isprintable():
            raise Malformed(f"a line of a checkpoint has from 1 to {MOST_TEXT_LINE} printable characters")
    origin, size, root, *extensions = lines
    if _SIZE.fullmatch(size) is None or int(size) > MOST_INTEGER:
        raise Malformed(f"the size of a checkpoint is not a number of leaves: {size[:80]!r}")
    raw = decode_base64(root, "the root of a checkpoint")
    if len(raw) != HASH_BYTES:
        raise Malformed(f"the root of a checkpoint has {len(raw)} bytes and not {HASH_BYTES}")
    if size == "0" and raw != hashlib.sha256().digest():
        raise Malformed("the root of no leaves is not that of the empty tree")
    return Checkpoint(line, note, text, signatures, origin, int(size), raw, extensions)


def _parse_note(note: str) -> tuple[str, list[Signature]]:
    """The text of a note, which ends with a newline, and its signatures."""
    if len(note.encode()) > MOST_NOTE_BYTES:
        raise Malformed(f"a note has at most {MOST_NOTE_BYTES} bytes")
    at = note.rfind("\n\n")
    if at < 0 or not note.endswith("\n") or at + 2 == len(note):
        raise Malformed("a note has a text, an empty line, and lines with signatures")
    lines = note[at + 2 : -1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise Malformed(f"a note has at most {MOST_SIGNATURES} signatures, and this one has {len(lines)}")
    return note[: at + 1], [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> Signature:
    found = _SIGNATURE.fullmatch(line)
    if found is None:
        raise Malformed("a signature is not a line of an em dash, the name of a key, and base64")
    check_name(found[1], "a signature")
    raw = decode_base64(found[2], "a signature")
    if len(raw) < 5:
        raise Malformed("a signature is too short")
    return Signature(found[1], raw[:4].hex(), raw[4:])


class Signers(NamedTuple):
    """Who signed a checkpoint. Wrong signatures are by keys that are known."""

    keys: set[Key]
    witnesses: dict[Key, int]  # with the time of the cosignature, in microseconds
    wrong: list[Key]


_COSIGNED: Final = Struct(">Q")


def signers_of(checkpoint: Checkpoint, known: Iterable[Key]) -> Signers:
    """Verify the signatures of a checkpoint by known keys. Others are not looked at."""
    by_name = {(key.name, key.id): key for key in known}
    signers = Signers(set(), {}, [])
    for name, id, raw in checkpoint.signatures:
        key = by_name.get((name, id))
        if key is None:
            continue
        if key.type == ED25519:
            if key.signed(checkpoint.text.encode(), raw):
                signers.keys.add(key)
                continue
        elif len(raw) > _COSIGNED.size:
            (seconds,) = _COSIGNED.unpack_from(raw)
            if key.signed(f"cosignature/v1\ntime {seconds}\n{checkpoint.text}".encode(), raw[_COSIGNED.size :]):
                signers.witnesses[key] = min(seconds * 1_000_000, signers.witnesses.get(key, _LAST_TIME))
                continue
        signers.wrong.append(key)
    return signers


# Leaves and records of commands (docs/adr/0015-canonical-leaf-and-what-verify-covers.md)


class Leaf(NamedTuple):
    """An event. Times are microseconds since 1970 UTC."""

    position: int
    unit_end: int
    stream: str
    version: int
    type: str
    recorded_at: int
    encoding: int
    payload: bytes
    metadata: bytes
    commands: bytes  # hashes of records of commands, joined


class Record(NamedTuple):
    """The record of a command."""

    hash: bytes
    actor: str
    key: str
    outcome: int
    status: int
    rule: str | None
    result: bytes
    decided_position: int
    first_position: int | None
    last_position: int | None
    recorded_at: int


_LEAF_BEGIN: Final = Struct(">BI16sIqIqI")  # version, then each field with its length: log, position, unit_end, stream
_LEAF_VERSION: Final = Struct(">IqI")  # version; the length of the type
_LEAF_TIME: Final = Struct(">IqIhI")  # recorded_at, encoding; the length of the payload
_LENGTH: Final = Struct(">I")
_NULL: Final = 0xFFFFFFFF
JSON_EVENT, OPAQUE_EVENT = 0, 1


def parse_leaf(raw: bytes, log: bytes) -> Leaf:
    """The event of a canonical leaf. Raises `Malformed`."""
    try:
        version, a, uuid, b, position, c, unit_end, length = _LEAF_BEGIN.unpack_from(raw)
        at = _LEAF_BEGIN.size
        stream, at = raw[at : at + length], at + length
        d, stream_version, length = _LEAF_VERSION.unpack_from(raw, at)
        at += _LEAF_VERSION.size
        type, at = raw[at : at + length], at + length
        e, recorded_at, f, encoding, length = _LEAF_TIME.unpack_from(raw, at)
        at += _LEAF_TIME.size
        payload, at = raw[at : at + length], at + length
        (length,) = _LENGTH.unpack_from(raw, at)
        at += 4
        metadata, at = raw[at : at + length], at + length
        (length,) = _LENGTH.unpack_from(raw, at)
        commands = raw[at + 4 :]
        texts = stream.decode(), type.decode()
    except (StructError, UnicodeDecodeError):
        raise Malformed("its bytes are not a canonical leaf") from None
    if (version, a, b, c, d, e, f) != (1, 16, 8, 8, 8, 8, 2) or length != len(commands) or length % HASH_BYTES:
        raise Malformed("its bytes are not a canonical leaf of version 1")
    if any(len(text) > MOST_NAME_CHARACTERS for text in texts):
        raise Malformed(f"the stream or the type of the leaf has more than {MOST_NAME_CHARACTERS} characters")
    if uuid != log:
        raise Malformed(f"the leaf is of the log {UUID(bytes=uuid)}, and the bundle of {UUID(bytes=log)}")
    return Leaf(
        position, unit_end, texts[0], stream_version, texts[1], recorded_at, encoding, payload, metadata, commands
    )


_FIELDS_OF_RECORD: Final = 12
_NO_RECORD: Final = "its bytes are not a record of a command of version 1"


def parse_record(raw: bytes, log: bytes) -> Record:
    """The record of a command. Raises `Malformed`."""
    fields = _fields(raw)
    if len(fields) != _FIELDS_OF_RECORD:
        raise Malformed(_NO_RECORD)
    uuid, actor, key, _, outcome, status, rule, result, decided, first, last, recorded_at = fields
    if uuid != log:
        raise Malformed("the record is of another log than the bundle")
    return Record(
        hashlib.sha256(raw).digest(),
        _text_of_field(actor),
        _text_of_field(key),
        _integer_of_field(outcome, 2),
        _integer_of_field(status, 2),
        None if rule is None else _text_of_field(rule),
        _present(result),
        _integer_of_field(decided, 8),
        None if first is None else _integer_of_field(first, 8),
        None if last is None else _integer_of_field(last, 8),
        _integer_of_field(recorded_at, 8),
    )


def _fields(raw: bytes) -> list[bytes | None]:
    """The fields after the version; None for NULL."""
    fields, at, end = list[bytes | None](), 1, len(raw)
    if raw[:1] != b"\x01":
        raise Malformed(_NO_RECORD)
    while at < end:
        length = int.from_bytes(raw[at : at + 4], "big")
        at += 4
        if length == _NULL:
            fields.append(None)
        else:
            fields.append(raw[at : at + length])
            at += length
    if at != end:
        raise Malformed(_NO_RECORD)
    return fields


def _present(field: bytes | None) -> bytes:
    if field is None:
        raise Malformed(_NO_RECORD)
    return field


def _text_of_field(field: bytes | None) -> str:
    try:
        text = _present(field).decode()
    except UnicodeDecodeError:
        raise Malformed(_NO_RECORD) from None
    if len(text) > MOST_NAME_CHARACTERS:
        raise Malformed(f"the actor, the key or the rule of the record has more than {MOST_NAME_CHARACTERS} characters")
    return text


def _integer_of_field(field: bytes | None, length: int) -> int:
    if field is None or len(field) != length:
        raise Malformed(_NO_RECORD)
    return int.from_bytes(field, "big", signed=True)


# Sorting on disk


MOST_IN_MEMORY: Final = 500_000
"""Most records that are sorted in memory: 50 MB of them."""


class Sorted:
    """Records of one length that are sorted on disk. Memory is bounded by `most` records, and a block a run."""

    BLOCK: Final = 512

    def __init__(self, file: IO[bytes], width: int, most: int | None = None) -> None:
        self._file, self._width, self._most = file, width, most or MOST_IN_MEMORY
        self._run: list[bytes] = []
        self._runs: list[tuple[int, int]] = []  # begin and end in the file

    def add(self, record: bytes) -> None:
        """Add a record."""
        self._run.append(record)
        if len(self._run) >= self._most:
            self._flush()

    def __iter__(self) -> Iterator[bytes]:
        """All records in order."""
        if not self._runs:
            return iter(sorted(self._run))
        self._flush()
        return heapq.merge(*(self._read(*run) for run in self._runs))

    def _flush(self) -> None:
        self._run.sort()
        begin = self._file.seek(0, os.SEEK_END)
        self._file.write(b"".join(self._run))
        self._runs.append((begin, self._file.tell()))
        self._run = []

    def _read(self, begin: int, end: int) -> Iterator[bytes]:
        width, step = self._width, self._width * self.BLOCK
        for at in range(begin, end, step):
            self._file.seek(at)
            block = self._file.read(min(step, end - at))
            yield from (block[first : first + width] for first in range(0, len(block), width))


# Heads of streams (docs/adr/0070-heads-of-streams.md)

BUCKETS: Final = 65_536
_EMPTY_BUCKET: Final = leaf_hash(hashlib.sha256().digest())
_HEAD: Final = Struct(">32sqq")  # of a stream: key, version and position of the last event
_PLACE: Final = Struct(">32sqq")  # of an event: key of its stream, position, version


def stream_key(stream: str) -> bytes:
    """The key of a stream."""
    return hashlib.sha256(stream.encode()).digest()


def bucket_of(key: bytes) -> int:
    """The bucket of a stream."""
    return int.from_bytes(key[:2], "big")


class Heads:
    """The tree of all heads, which are added in the order of their keys."""

    def __init__(self) -> None:
        self.streams = 0
        self._top, self._bucket = Tree(), Tree()

    def add(self, key: bytes, version: int, position: int) -> None:
        """Add the head of a stream."""
        bucket = bucket_of(key)
        if self._top.size < bucket:
            self._close(bucket)
        self._bucket.add(leaf_hash(_HEAD.pack(key, version, position)))
        self.streams += 1

    def root(self) -> bytes:
        """The root, after the last head."""
        self._close(BUCKETS)
        return self._top.root()

    def _close(self, until: int) -> None:
        if self._bucket.size:
            self._top.add(leaf_hash(self._bucket.root()))
            self._bucket = Tree()
        while self._top.size < until:
            self._top.add(_EMPTY_BUCKET)


class Committed(NamedTuple):
    """What a checkpoint says of the heads of streams."""

    streams: int
    root: bytes


def committed_heads(checkpoint: Checkpoint) -> Committed | None:
    """What the extension line says; None without one. Raises `Malformed`."""
    lines = [line.split(" ") for line in _lines_of_heads(checkpoint)]
    if not lines:
        return None
    if len(lines) > 1 or len(lines[0]) != 3 or _SIZE.fullmatch(lines[0][1]) is None:
        raise Malformed(f"a checkpoint has one extension line {HEADS} STREAMS ROOT")
    root = decode_base64(lines[0][2], "the root of the heads")
    if len(root) != HASH_BYTES:
        raise Malformed(f"the root of the heads has {len(root)} bytes and not {HASH_BYTES}")
    return Committed(int(lines[0][1]), root)


def _lines_of_heads(checkpoint: Checkpoint) -> list[str]:
    return [line for line in checkpoint.extensions if line.split(" ")[0] == HEADS]


# Money: integers of minor units

DIGITS: Final[dict[str, int]] = dict.fromkeys(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0
) | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)
"""Digits of the minor unit of the currencies of ISO 4217 that do not have two."""


def show_money(minor: int, currency: str) -> str:
    """The decimal text of minor units, as a statement has it."""
    digits = DIGITS.get(currency, 2)
    sign, text = "-" if minor < 0 else "", str(abs(minor)).zfill(digits + 1)
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"


class Entry(NamedTuple):
    """An entry of a transaction, as the transaction or the account has it. Positive amounts are credits."""

    account: str
    amount: int
    currency: str
    value_date: str


POSTED: Final = "transaction.posted.v1"
SHARES: Final = {"account.credited.v1": 1, "account.debited.v1": -1}
"""The events of entries on their accounts, with the sign of the amount."""
OPENED: Final = "account.opened.v1"
REFUSED: Final = "command.refused.v1"
_OTHER_VERSION: Final = re.compile(
    r"(transaction\.posted|account\.(credited|debited|opened))\.v(?!1$)[0-9A-Za-z.]{1,20}", re.ASCII
)
"""Types of events that say what this program checks, in a form that it does not know."""
_SIDES: Final = {"credit": 1, "debit": -1}


def refuse_other_version(leaf: Leaf) -> None:
    """Raise `ValueError` for an event with money of a version that this program cannot read."""
    if _OTHER_VERSION.fullmatch(leaf.type):
        raise ValueError("this program knows version 1 alone, so get a newer one")


def share_of(leaf: Leaf) -> tuple[tuple[str, int], Entry]:
    """Transaction and number of an entry, and the entry. Raises `ValueError` with a reason."""
    payload = _payload(leaf)
    name = _text(payload, "transaction"), _count(payload, "entry")
    amount = _count(payload, "amount") * SHARES[leaf.type]
    return name, Entry(leaf.stream, amount, _text(payload, "currency"), _day(payload))


def entries_of(leaf: Leaf) -> list[Entry]:
    """The entries of a transaction that was posted. Raises `ValueError` with a reason."""
    payload = _payload(leaf)
    value_date, entries = _day(payload), payload.get("entries")
    if not isinstance(entries, list):
        raise ValueError("entries is not a list")
    return [_entry(one, value_date) for one in entries]


def _entry(value: Any, value_date: str) -> Entry:
    if not isinstance(value, dict) or value.get("side") not in ("credit", "debit"):
        raise ValueError("an entry has no side")
    amount = _count(value, "amount") * _SIDES[value["side"]]
    return Entry(_text(value, "account"), amount, _text(value, "currency"), value_date)


def _payload(leaf: Leaf) -> dict[str, Any]:
    payload = decode_json(leaf.payload)
    if not isinstance(payload, dict):
        raise ValueError("it is not an object")
    return payload


def _text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    if len(value) > MOST_NAME_CHARACTERS:
        raise ValueError(f"{name} has more than {MOST_NAME_CHARACTERS} characters")
    return value


def _count(payload: dict[str, Any], name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or not 0 < value <= MOST_INTEGER:
        raise ValueError(f"{name} is not a number from 1 on")
    return value


def _day(payload: dict[str, Any]) -> str:
    value = payload.get("value_date")
    if not is_day(value):
        raise ValueError("value_date is not a day")
    assert isinstance(value, str), "it is a day"
    return value


# The units of commands


class Records:
    """Compares records of commands with the events of their units."""

    def __init__(self, report: Report) -> None:
        self._recorded = report.check("records of commands are those of their events", "records")
        self._named = report.check("events name the command that appended them", "units")
        self.waiting: list[tuple[Record, int]] = []  # with the line
        self.commands: list[tuple[str, str]] = []  # actor and key of the first ones, a few
        self.unnamed = 0  # units whose metadata does not have the key

    def take(self, record: Record, line: int) -> None:
        """Take a record. Its unit ends after it."""
        if len(self.waiting) >= MOST_RECORDS:
            raise Malformed(f"more than {MOST_RECORDS} records of commands come before the end of a unit")
        if self.waiting:
            record = record._replace(result=b"")  # a second one is wrong in any case, and results can be long
        self.waiting.append((record, line))

    def drop(self) -> None:
        """Forget the records of a unit that was cut."""
        self.waiting = []

    def end(self) -> None:
        """There are no more events."""
        for record, line in self.waiting:
            self._recorded.find(f"the record of command {record.key!r} is of no unit here", line)

    def check(self, first: int | None, leaf: Leaf, line: int) -> None:
        """Compare the records that came with an event of their unit, which begins at `first` if that is known."""
        records, self.waiting = self.waiting, []
        found, position = self._recorded, leaf.position
        if leaf.encoding != JSON_EVENT:
            if records:
                found.find("a unit of opaque events has the record of a command", line, position)
        elif not leaf.commands:
            found.find("its unit names no record of a command", line, position)
        elif not records:
            found.find("the record of the command of its unit is not in the bundle", line, position)
        elif b"".join([record.hash for record, _ in records]) != leaf.commands:
            what = "the record of its command is not the one that its events name: it was changed"
            found.find(what, records[0][1], position)
        elif len(records) > 1:
            found.find(f"its unit has the records of {len(records)} commands", line, position)
        else:
            found.covered += 1
            self._check_one(first, leaf, *records[0])

    def _check_one(self, first: int | None, leaf: Leaf, record: Record, line: int) -> None:
        if len(self.commands) < SHOWN:
            self.commands.append((record.actor, record.key))
        for what in _unlike(record, first, leaf):
            self._recorded.find(f"the record of command {record.key!r} {what}", line, leaf.position)
        try:
            metadata = decode_json(leaf.metadata)
        except ValueError as error:
            self._named.find(f"the metadata cannot be read: {error}", line, leaf.position)
            return
        self._check_names(metadata if isinstance(metadata, dict) else {}, record, leaf, line)

    def _check_names(self, metadata: dict[str, Any], record: Record, leaf: Leaf, line: int) -> None:
        actor = metadata.get("actor")
        if not isinstance(actor, dict) or actor.get("id") != record.actor:
            self._named.find(f"the metadata does not name the actor {record.actor!r}", line, leaf.position)
        elif "key" not in metadata:
            self.unnamed += 1
        elif metadata["key"] != record.key:
            self._named.find(f"the metadata does not name the command {record.key!r}", line, leaf.position)
        else:
            self._named.covered += 1
        if record.rule is not None and leaf.type == REFUSED:
            self._check_refusal(metadata.get("command"), record, leaf, line)

    def _check_refusal(self, command: Any, record: Record, leaf: Leaf, line: int) -> None:
        try:
            payload, figures = _payload(leaf), decode_json(record.result)
        except ValueError as error:
            self._recorded.find(f"the refusal cannot be read: {error}", line, leaf.position)
            return
        says = [payload.get(name) for name in ("actor", "key", "rule", "command", "figures")]
        bytes_of_figures = b'"figures":' + record.result  # the values alone do not tell 1 from true
        if says != [record.actor, record.key, record.rule, command, figures] or bytes_of_figures not in leaf.payload:
            self._recorded.find(f"the refusal of command {record.key!r} differs from its record", line, leaf.position)


MOST_RECORDS: Final = 100
ACCEPTED: Final = 1
_OUTCOMES: Final = (ACCEPTED, 2, 3)


def _unlike(record: Record, first: int | None, leaf: Leaf) -> Iterator[str]:
    """What of a record does not fit its unit."""
    begins, ends = record.first_position, record.last_position
    if begins is None or ends != leaf.unit_end or not begins <= leaf.position or first not in (None, begins):
        yield f"is of the positions {begins} to {ends}, and the unit has others"
    elif record.decided_position != begins - 1:
        yield f"says that it was decided at {record.decided_position}, and its events begin at {begins}"
    if record.recorded_at != leaf.recorded_at:
        yield f"was recorded {show_time(record.recorded_at)}, and its events {show_time(leaf.recorded_at)}"
    if record.outcome not in _OUTCOMES:
        yield f"has the outcome {record.outcome}, which does not exist"
    if (record.outcome == ACCEPTED) != (record.rule is None):
        number = "no" if record.rule is None else "a"
        yield f"has the outcome {record.outcome} and {number} rule by which it was refused"
    if leaf.position == leaf.unit_end and (record.rule is not None) != (leaf.type == REFUSED):
        yield "and the last event of its unit do not agree whether it was refused"


class Unit:
    """The events of one command, as far as they came. It has at most `MOST_UNIT` of them."""

    def __init__(self, first: Leaf) -> None:
        self.first = first
        self.events = 0
        self.transactions: dict[str, list[Entry]] = {}
        self.shares: dict[tuple[str, int], Entry] = {}
        self.entries = 0


class Units:
    """Checks events a unit at a time: records of commands, and the entries of transactions."""

    def __init__(self, report: Report) -> None:
        self._whole = report.check("units are whole", "units")
        self._sums = report.check("transactions sum to zero per currency", "transactions")
        self._matched = report.check("entries of transactions are those of accounts", "entries")
        self.records = Records(report)
        self._unit: Unit | None = None
        self.opaque = 0  # events

    def event(self, leaf: Leaf, line: int) -> None:
        """Take the next event."""
        unit = self._unit
        if unit is None or leaf.unit_end != unit.first.unit_end:
            if unit is not None:
                self._cut(unit, leaf.position)
            unit = self._unit = Unit(leaf)
        elif unit.events >= MOST_UNIT:
            raise Malformed(f"a unit has more than {MOST_UNIT} events")
        unit.events += 1
        if leaf.encoding == JSON_EVENT:
            self._belongs(unit, leaf, line)
            if leaf.type in SHARES or leaf.type == POSTED or _OTHER_VERSION.fullmatch(leaf.type):
                self._money(unit, leaf, line)
        else:
            self.opaque += 1
        if leaf.position >= leaf.unit_end:
            self._close(unit, leaf, line)

    def end(self) -> None:
        """There are no more events."""
        if self._unit is not None:
            self._cut(self._unit, None)
        self.records.end()

    def _cut(self, unit: Unit, position: int | None) -> None:
        before = "the end of the bundle" if position is None else f"position {position}"
        self._whole.find(
            f"its unit begins here and should end at {unit.first.unit_end}, and was cut before {before}",
            position=unit.first.position,
        )
        self._unit = None
        self.records.drop()

    def _belongs(self, unit: Unit, leaf: Leaf, line: int) -> None:
        first = unit.first
        if leaf.recorded_at != first.recorded_at:
            self._whole.find("the events of its unit were recorded at different times", line, leaf.position)
        if leaf.metadata != first.metadata:
            self._whole.find("the events of its unit have different metadata", line, leaf.position)
        if leaf.type == REFUSED and leaf.position < leaf.unit_end:
            self._whole.find("a refusal is not the last event of its unit", line, leaf.position)
        if leaf.commands != first.commands:
            self._whole.find("the events of its unit name different records of commands", line, leaf.position)

    def _money(self, unit: Unit, leaf: Leaf, line: int) -> None:
        try:
            refuse_other_version(leaf)
            if leaf.type == POSTED:
                entries = entries_of(leaf)
                unit.entries += len(entries)
                if leaf.stream in unit.transactions:
                    self._matched.find(f"{leaf.stream!r} is posted twice in its unit", line, leaf.position)
                if unit.entries > MOST_UNIT:
                    self._matched.find(f"its unit has over {MOST_UNIT} entries and cannot match", line, leaf.position)
                    entries = []
                unit.transactions[leaf.stream] = entries
                self._sum(leaf.stream, entries, line, leaf.position)
            else:
                name, entry = share_of(leaf)
                if name in unit.shares:
                    self._matched.find(f"entry {name[1]} of {name[0]!r} is there twice", line, leaf.position)
                unit.shares[name] = entry
        except ValueError as error:
            self._matched.find(f"the {leaf.type} cannot be read: {error}", line, leaf.position)

    def _sum(self, transaction: str, entries: list[Entry], line: int, position: int) -> None:
        sums: dict[str, int] = {}
        for _, amount, currency, _ in entries:
            sums[currency] = sums.get(currency, 0) + amount
        self._sums.covered += 1
        for currency, total in sums.items():
            if total:
                self._sums.find(
                    f"the entries of {transaction!r} in {currency!r} sum to {total} minor units", line, position
                )

    def _close(self, unit: Unit, last: Leaf, line: int) -> None:
        self._unit = None
        if last.position != last.unit_end:
            self._whole.find(f"its unit ends at {last.unit_end}, before it", line, last.position)
        self._whole.covered += 1
        self._match(unit, line)
        self.records.check(unit.first.position, last, line)

    def _match(self, unit: Unit, line: int) -> None:
        wanted = {
            (transaction, number): entry
            for transaction, entries in unit.transactions.items()
            for number, entry in enumerate(entries, 1)
        }
        self._matched.covered += len(wanted)
        if wanted == unit.shares:
            return
        for name in sorted(wanted.keys() | unit.shares.keys()):
            one, other = wanted.get(name), unit.shares.get(name)
            if one != other:
                why = (
                    "is not on its account"
                    if other is None
                    else "is on an account, and the transaction does not have it"
                    if one is None
                    else "differs between the transaction and the account"
                )
                self._matched.find(f"entry {name[1]} of {name[0]!r} {why}", line, unit.first.unit_end)


# Statements


class Booked(NamedTuple):
    """An entry of the account of a statement."""

    number: int
    position: int
    recorded_at: int
    amount: int
    transaction: str
    entry: int
    value_date: str


class Entries:
    """The entries of one account, in the order of booking. They are kept on disk until the statement comes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0
        self.currencies: set[str] = set()
        self.opened: dict[str, Any] = {}

    def event(self, leaf: Leaf) -> None:
        """Take an event of the account. Raises `ValueError` with a reason."""
        refuse_other_version(leaf)
        if leaf.type == OPENED:
            if self.opened:
                raise ValueError("the account was opened before")
            self.opened = _payload(leaf)
        if leaf.type in SHARES:
            if not _FIRST_TIME <= leaf.recorded_at <= _LAST_TIME:
                raise ValueError("it was recorded at a time that no calendar has")
            (transaction, entry), share = share_of(leaf)
            self.number += 1
            booked = Booked(
                self.number, leaf.position, leaf.recorded_at, share.amount, transaction, entry, share.value_date
            )
            self._file.write(json.dumps(booked).encode() + b"\n")
            if len(self.currencies) <= SHOWN:
                self.currencies.add(share.currency)

    def __iter__(self) -> Iterator[Booked]:
        self._file.seek(0)
        for line in self._file:
            yield Booked(*json.loads(line))


CHECKED_OF_STATEMENT: Final = (
    "account number type currency from to by as_of opening debits credits net closing entries items".split()
)
CHECKED_OF_LINE: Final = "number transaction entry value_date recorded_at position amount balance".split()
MOST_MEMBERS: Final = 50
"""Most members of a statement that are listed by name as not checked."""
_PLAIN: Final = re.compile(r"[a-z_]{1,40}", re.ASCII)
_AS_OF: Final = re.compile(r".+\.[0-9]{1,18}\.([0-9]{1,18})", re.ASCII)


class Statement:
    """Compares a statement with the entries of its account."""

    def __init__(self, report: Report, value: Any, line: int, account: str, size: int) -> None:
        """Read the head of the statement. Raises `Malformed`."""
        self._lines = report.check("lines of the statement are the entries of the account", "lines")
        self._figures = report.check("figures of the statement follow from the entries", "figures")
        self._line = line
        if not isinstance(value, dict):
            raise Malformed("the statement is not an object")
        if missing := [name for name in CHECKED_OF_STATEMENT if name not in value]:
            raise Malformed(f"the statement has no member {missing[0]!r}")
        self._value, self._items = value, value["items"]
        if value["account"] != account:
            raise Malformed(f"the statement is of another account than {account!r}")
        if not is_day(value["from"]) or not is_day(value["to"]) or value["from"] > value["to"]:
            raise Malformed("the period of the statement is not two days in order")
        if value["by"] not in ("booking", "value"):
            raise Malformed("the statement is neither by booking nor by value")
        if not isinstance(self._items, list) or not all(isinstance(item, dict) for item in self._items):
            raise Malformed("the items of the statement are not a list of objects")
        found = _AS_OF.fullmatch(value["as_of"]) if isinstance(value["as_of"], str) else None
        if found is None:
            raise Malformed("the as_of of the statement is not a position such as main.1.42")
        self.position = int(found[1])
        self._currency = text_of(value["currency"], "the currency of the statement")
        if self.position > size:
            self._figures.find(f"the statement is of position {self.position}, after the last checkpoint, {size}", line)

    def check(self, entries: Entries) -> None:
        """Compare it with the entries."""
        by_number = self._by_number()
        found: dict[int, Booked] = {}
        opening = debits = credits = number = 0
        for booked in entries:
            if booked.position > self.position:
                break
            day = self._day(booked)
            if day < self._value["from"]:
                opening += booked.amount
            elif day <= self._value["to"]:
                number += 1
                debits += max(-booked.amount, 0)
                credits += max(booked.amount, 0)
                if booked.number in by_number:
                    found[booked.number] = booked
                else:
                    self._lines.find(f"entry {booked.number} of the account is left out", self._line, booked.position)
        self._compare_lines(found, opening)
        self._compare_figures(opening, debits, credits, number, entries)

    def _day(self, booked: Booked) -> str:
        return booked.value_date if self._value["by"] == "value" else day_of(booked.recorded_at)

    def _by_number(self) -> set[int]:
        numbers = set[int]()
        for place, item in enumerate(self._items, 1):
            number = item.get("number")
            if type(number) is not int or number in numbers:
                self._lines.find(f"line {place} of the statement has no number of its own", self._line)
            else:
                numbers.add(number)
        return numbers

    def _compare_lines(self, found: dict[int, Booked], balance: int) -> None:
        before: tuple[str, int] = ("", 0)
        for place, item in enumerate(self._items, 1):
            number = item.get("number")
            booked = found.get(number) if type(number) is int else None
            if booked is None:
                self._lines.find(f"line {place} of the statement is no entry of the account in the period", self._line)
                continue
            balance += booked.amount
            key = (booked.value_date if self._value["by"] == "value" else "", booked.number)
            if key <= before:
                self._lines.find(f"line {place} of the statement is not in its order", self._line, booked.position)
            before = key
            is_like = {
                "number": booked.number,
                "transaction": booked.transaction,
                "entry": booked.entry,
                "value_date": booked.value_date,
                "recorded_at": show_time(booked.recorded_at),
                "position": booked.position - booked.entry,  # that of the transaction, whose entries follow it
                "amount": show_money(booked.amount, self._currency),
                "balance": show_money(balance, self._currency),
            }
            self._lines.covered += 1
            for name in CHECKED_OF_LINE:
                if item.get(name) != is_like[name] or type(item[name]) is not type(is_like[name]):
                    self._lines.find(
                        f"line {place} of the statement has another {name} than its entry, which has "
                        f"{repr(is_like[name])[:SHOWN_CHARACTERS]}",
                        self._line,
                        booked.position,
                    )

    def _compare_figures(self, opening: int, debits: int, credits: int, number: int, entries: Entries) -> None:
        net = credits - debits
        amounts = {"opening": opening, "debits": debits, "credits": credits, "net": net, "closing": opening + net}
        is_like: dict[str, Any] = {name: show_money(amount, self._currency) for name, amount in amounts.items()}
        is_like["entries"] = number
        is_like |= {name: entries.opened.get(name) for name in ("number", "type", "currency")}
        for name, value in is_like.items():
            self._figures.covered += 1
            if self._value[name] != value or type(self._value[name]) is not type(value):
                self._figures.find(f"the statement has another {name} than follows: {str(value)[:80]!r}", self._line)
        if entries.currencies - {self._currency}:
            self._figures.find("the account has entries in another currency than the statement", self._line)

    def unknown(self) -> list[str]:
        """What is not compared with anything, as a person is shown it."""
        found = set(self._value) - set(CHECKED_OF_STATEMENT)
        for item in self._items:
            found |= set(item) - set(CHECKED_OF_LINE)
        names = [name if _PLAIN.fullmatch(name) else repr(name[:SHOWN_CHARACTERS]) for name in sorted(found)]
        more = [f"and {len(names) - MOST_MEMBERS:,} more members"] if len(names) > MOST_MEMBERS else []
        return ["what as_of says before its position", *names[:MOST_MEMBERS], *more]


# The bundle


class Kept(NamedTuple):
    """A checkpoint that the user kept or got from somebody else."""

    name: str  # of the file
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Trust:
    """What the user knows apart from the bundle."""

    keys: Sequence[Key] = ()  # of the log, the newest last
    witnesses: Sequence[Key] = ()
    least_witnesses: int = 0
    kept: Sequence[Kept] = ()
    now: int = 0  # microseconds since 1970


class KeyOfBundle(NamedTuple):
    """A key of the log, and since when it signs."""

    key: Key
    since: str
    size: int
    line: int


class Target(NamedTuple):
    """A root that the tree must have at a size."""

    size: int
    root: bytes
    line: int | None
    kept: str | None  # the file, if it is a head that the user kept


class SeenAt(NamedTuple):
    """What was in the tree up to a position was seen at a time, so it was recorded before."""

    position: int
    time: int  # microseconds
    who: str


KINDS: Final = {
    "log": (),
    "stream": ("stream",),
    "statement": ("stream",),
    "event": ("position",),
    "command": ("actor", "command"),
}
"""The kinds of bundles, with what each was asked for."""
ORDER: Final = {
    "key": 1, "witness": 2, "checkpoint": 3, "consistency": 4, "record": 5, "leaf": 5, "head": 6, "statement": 7,
    "end": 8,
}  # fmt: skip
_EVENTS: Final = ORDER["leaf"]


class Verification:
    """One run over a bundle."""

    def __init__(self, trust: Trust, folder: str | None, progress: Callable[[int], None]) -> None:
        self.report = Report()
        self._trust, self._folder, self._progress = trust, folder, progress
        self._number = 0  # of the line
        self._stage = 0
        self._keys: list[KeyOfBundle] = []
        self._witnesses: list[Key] = []
        self._checkpoints: list[Checkpoint] = []
        self._proofs: list[tuple[int, int, list[bytes], int]] = []
        self._head: tuple[int, int] | None = None  # version and position
        self._statement: Statement | None = None
        self._has_statement = self._ended = False
        self._tree = Tree()
        self._targets: list[Target] = []
        self._agreed = 0  # the size up to which the roots agree
        self._forged = False  # whether a root did not agree
        self._seen: list[SeenAt] = []
        self._cosigned = 0  # trusted witnesses of the last checkpoint
        self._note_bytes = 0
        self._last: Leaf | None = None
        self._encoding: int | None = None  # of the first event
        self._versions = 0  # of the only stream, as far as they are contiguous

    def run(self, file: IO[bytes]) -> Report:
        """Read a bundle and report on it. Raises `OSError`."""
        with tempfile.TemporaryFile(dir=self._folder) as spool:
            self._places = Sorted(spool, _PLACE.size)
            self._entries = Entries(spool)
            try:
                self._read_all(_lines(file))
                self._finish()
            except Malformed as error:
                self.report.malformed = Finding("the bundle has its format", str(error), self._number)
        return self.report

    # Its lines

    def _read_all(self, lines: Iterator[bytes]) -> None:
        while True:
            self._number += 1  # before the line is read, since it may be too long
            line = next(lines, None)
            if line is None:
                break
            self._read(line)
        if not self._ended:
            raise Malformed("the last line of the bundle is missing: it was cut")
        self._number -= 1

    def _read(self, line: bytes) -> None:
        if self._stage == _EVENTS and line[-4:] == b'"}}\n':  # a third faster: most lines have only bytes
            if line.startswith(_LEAF_LINE) and self._kind == "log":
                self._take_leaf(decode_base64(line[len(_LEAF_LINE) : -4], "the leaf"), None)
                return
            if line.startswith(_RECORD_LINE):
                self._take_record(decode_base64(line[len(_RECORD_LINE) : -4], "the record"))
                return
        try:
            value = decode_json(line)
        except ValueError as error:
            raise Malformed(f"the line cannot be read: {error}") from None
        if self._number == 1:
            self._read_header(value)
            return
        if not isinstance(value, dict) or len(value) != 1:
            raise Malformed("the line is not an object with one member")
        ((kind, body),) = value.items()
        if kind not in ORDER:
            raise Malformed(f"the kind {kind[:80]!r} is not known to this program")
        self._enter(kind)
        _READ[kind](self, body)

    def _enter(self, kind: str) -> None:
        """Hold the kind of a line to the order."""
        stage = ORDER[kind]
        if self._ended:
            raise Malformed("a line follows the end of the bundle")
        if stage < self._stage:
            raise Malformed(f"a line of the kind {kind} stands too late")
        if stage >= _EVENTS > self._stage:
            self._begin()
        self._stage = stage

    def _read_header(self, value: Any) -> None:
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise Malformed(f"this is not a bundle: its first line has no format {FORMAT!r}")
        if value.get("version") != VERSION or type(value["version"]) is not int:
            raise Malformed(
                f"the bundle is of version {repr(value.get('version'))[:40]}, and this program knows {VERSION}"
            )
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise Malformed(f"the bundle is of the kind {str(kind)[:80]!r}, which this program does not know")
        asked = KINDS[kind]
        members(value, "the header", ("format", "version", "kind", "origin", "log", "size", *asked))
        origin = text_of(value["origin"], "the origin")
        check_name(origin, "the log")
        for name in asked:
            (integer_of if name == "position" else text_of)(value[name], f"the member {name} of the header")
        log = text_of(value["log"], "the log")
        try:
            self._log = UUID(log)
        except ValueError:
            raise Malformed("the log of the header is not a UUID") from None
        if str(self._log) != log:
            raise Malformed("the log of the header is not a UUID in its only spelling")
        integer_of(value["size"], "the size of the header")
        self.report.header, self._kind, self._origin = value, kind, origin
        self._uuid, self._size = self._log.bytes, value["size"]

    def _read_key(self, value: Any) -> None:
        body = members(value, "the key", ("verifier", "since", "size"))
        key = parse_key(text_of(body["verifier"], "the key"), ED25519, "the key")
        if key.name != self._origin:
            raise Malformed(f"the key is of {key.name!r}, and the bundle of {self._origin!r}")
        since, size = text_of(body["since"], "the time of the key"), integer_of(body["size"], "the size of the key")
        try:
            parse_time(since)
        except (ValueError, OverflowError):
            raise Malformed("the time of the key is not a time such as 2026-11-30T12:00:00Z") from None
        if any(one.key.id == key.id for one in self._keys):
            raise Malformed(f"the key {key} is there twice")
        if self._keys and size < self._keys[-1].size:
            raise Malformed("the keys are not in order, the oldest first")
        if len(self._keys) >= MOST_KEYS:
            raise Malformed(f"a bundle has at most {MOST_KEYS} keys")
        self._keys.append(KeyOfBundle(key, since, size, self._number))

    def _read_witness(self, value: Any) -> None:
        body = members(value, "the witness", ("verifier",))
        key = parse_key(text_of(body["verifier"], "the key of the witness"), COSIGNATURE, "the key of the witness")
        if any((one.name, one.id) == (key.name, key.id) for one in self._witnesses):
            raise Malformed(f"the witness {key} is there twice")
        if len(self._witnesses) >= MOST_KEYS:
            raise Malformed(f"a bundle has at most {MOST_KEYS} witnesses")
        self._witnesses.append(key)

    def _read_checkpoint(self, value: Any) -> None:
        body = members(value, "the checkpoint", ("note",))
        checkpoint = parse_checkpoint(text_of(body["note"], "the note"), self._number)
        if checkpoint.origin != self._origin:
            raise Malformed(f"the checkpoint is of the log {checkpoint.origin!r}, and the bundle of {self._origin!r}")
        if self._checkpoints:
            before = self._checkpoints[-1]
            if (before.size, before.root) == (checkpoint.size, checkpoint.root):
                raise Malformed(f"the checkpoint of size {checkpoint.size} is there twice")
            if before.size == checkpoint.size:
                raise Malformed(f"there are two checkpoints of size {checkpoint.size} with different roots: a fork")
            if checkpoint.size < before.size:
                raise Malformed("the checkpoints are not in order of their sizes")
        self._note_bytes += len(checkpoint.note)
        if self._note_bytes > MOST_NOTES_BYTES:
            raise Malformed(f"the checkpoints of a bundle have at most {MOST_NOTES_BYTES:,} bytes")
        if len(self._checkpoints) >= MOST_CHECKPOINTS:
            raise Malformed(f"a bundle has at most {MOST_CHECKPOINTS} checkpoints")
        self._checkpoints.append(checkpoint)

    def _read_consistency(self, value: Any) -> None:
        body = members(value, "the consistency proof", ("from", "to", "proof"))
        sizes = integer_of(body["from"], "its first size"), integer_of(body["to"], "its second size")
        place = len(self._proofs)
        pairs = self._checkpoints[place : place + 2]
        if tuple(one.size for one in pairs) != sizes:
            raise Malformed(f"there are no neighbouring checkpoints of the sizes {sizes[0]} and {sizes[1]} to prove")
        self._proofs.append((*sizes, hashes_of(body["proof"], "the proof"), self._number))

    def _read_record(self, value: Any) -> None:
        self._take_record(bytes_of(members(value, "the record", ("bytes",))["bytes"], "the record"))

    def _take_record(self, raw: bytes) -> None:
        if self._kind not in ("log", "command", "event"):
            raise Malformed(f"a bundle of the kind {self._kind} has no records of commands")
        self._records.take(parse_record(raw, self._uuid), self._number)

    def _read_leaf(self, value: Any) -> None:
        body = members(value, "the leaf", ("bytes",) if self._kind == "log" else ("bytes", "proof"))
        proof = None if self._kind == "log" else hashes_of(body["proof"], "the proof")
        self._take_leaf(bytes_of(body["bytes"], "the leaf"), proof)

    def _take_leaf(self, raw: bytes, proof: list[bytes] | None) -> None:
        """Take an event. Its proof is None in a bundle of the whole log."""
        whole = proof is None
        leaf = parse_leaf(raw, self._uuid)
        if proof is None:
            self._grow(leaf_hash(raw))
        else:
            self._included(leaf, leaf_hash(raw), proof)
        self._in_order(leaf)
        self._in_one_encoding(leaf)
        if self._kind in ("log", "command"):
            self._units.event(leaf, self._number)
        if whole:
            self._places.add(_PLACE.pack(stream_key(leaf.stream), leaf.position, leaf.version))
        elif self._kind in ("stream", "statement"):
            self._of_stream(leaf)
        else:
            self._opaque += leaf.encoding != JSON_EVENT

    def _read_head(self, value: Any) -> None:
        if self._kind not in ("stream", "statement"):
            raise Malformed(f"a bundle of the kind {self._kind} has no heads of streams")
        if self._head is not None:
            raise Malformed("a second head of the stream")
        names = ("stream", "version", "position", "index", "streams", "bucket", "top")
        body = members(value, "the head", names)
        if body["stream"] != self.report.header["stream"]:
            raise Malformed("the head is of another stream than the bundle")
        version, position, index, streams = (integer_of(body[name], f"its {name}") for name in names[1:5])
        self._head = version, position
        key, committed = stream_key(body["stream"]), self._committed
        hash = leaf_hash(_HEAD.pack(key, version, position))
        bucket = root_from(index, streams, hash, hashes_of(body["bucket"], "the proof in the bucket"))
        top = hashes_of(body["top"], "the proof of the bucket")
        root = None if bucket is None else root_from(bucket_of(key), BUCKETS, leaf_hash(bucket), top)
        if committed is not None and root != committed.root:
            self._heads.find(
                "the head of the stream is not one of those that the last checkpoint commits to", self._number
            )

    def _read_statement(self, value: Any) -> None:
        if self._kind != "statement":
            raise Malformed(f"a bundle of the kind {self._kind} has no statement")
        if self._statement is not None:
            raise Malformed("a second statement")
        self._statement = Statement(self.report, value, self._number, self.report.header["stream"], self._size)

    def _read_end(self, value: Any) -> None:
        body = members(value, "the end", ("lines",))
        lines = integer_of(body["lines"], "the number of lines")
        if lines != self._number - 1:
            raise Malformed(f"the end says {lines} lines before it, and there are {self._number - 1}")
        self._ended = True

    # Signatures, once all keys and checkpoints are known

    def _begin(self) -> None:
        if not self._keys:
            raise Malformed("the bundle has no key")
        if not self._checkpoints:
            raise Malformed("the bundle has no checkpoint")
        if len(self._proofs) != len(self._checkpoints) - 1:
            raise Malformed(
                f"{len(self._checkpoints)} checkpoints need {len(self._checkpoints) - 1} consistency proofs, and there "
                f"are {len(self._proofs)}"
            )
        last = self._checkpoints[-1]
        if last.size != self._size:
            raise Malformed(f"the last checkpoint is of size {last.size}, and the header says {self._size}")
        self.report.root, self.report.note = binascii.b2a_base64(last.root, newline=False).decode(), last.note
        self._check_signatures()
        self._check_consistency()
        self._targets = [Target(one.size, one.root, one.line, None) for one in self._checkpoints]
        for kept in self._trust.kept:
            self._check_kept(kept)
        self._targets.sort(key=lambda target: target.size)
        self._begin_events()

    def _begin_events(self) -> None:
        report, kind = self.report, self._kind
        self._opaque = 0
        self._of_tree = report.check("events are those of the tree", "events")
        self._encodings = report.check("encodings are one", "events")
        self._dense = report.check("positions are dense" if kind == "log" else "positions ascend", "events")
        self._times = report.check("times never fall, and none is in the future", "events")
        if kind in ("log", "command"):
            self._units = Units(report)
            self._records = self._units.records
        elif kind == "event":
            self._records = Records(report)
        if kind in ("log", "stream", "statement"):
            self._contiguous = report.check("versions of each stream are contiguous", "events")
            self._heads = report.check("no event of a stream is left out", "streams")
        self._committed = self._committed_heads()
        self._limits = self._compute_limits()

    def _committed_heads(self) -> Committed | None:
        last = self._checkpoints[-1]
        try:
            committed = committed_heads(last)
        except Malformed as error:
            self._number = last.line or self._number
            raise Malformed(str(error)) from None
        if committed is None and self._kind in ("log", "stream", "statement"):
            self._heads.find("the last checkpoint does not commit to the heads of streams", last.line)
        return committed

    def _accepted(self) -> list[Key]:
        """The keys whose signature counts."""
        trusted = [key for key in self._trust.keys if key.name == self._origin]
        return trusted if self._trust.keys else [one.key for one in self._keys]

    def _check_signatures(self) -> None:
        trusted = bool(self._trust.keys)
        whose = "that you trust" if trusted else "of the bundle"
        check = self._signed = self.report.check(f"checkpoints are signed by keys {whose}", "checkpoints")
        accepted = self._accepted()
        if not accepted:
            names = ", ".join(sorted({repr(key.name) for key in self._trust.keys}))
            check.find(f"the bundle is of the log {self._origin!r}, and the keys that you trust are of {names}")
        self._in_future()
        by_others = 0
        for checkpoint in self._checkpoints:
            signers = self._signers(checkpoint, check, checkpoint.line)
            is_last = checkpoint is self._checkpoints[-1]
            if not signers.keys.isdisjoint(accepted):
                check.covered += 1
            elif signers.keys and trusted and not is_last:
                by_others += 1
            else:
                check.find(f"no key {whose} has signed the checkpoint of size {checkpoint.size}", checkpoint.line)
            self._check_rotation(checkpoint, signers, check)
            self._note_cosignatures(checkpoint, signers)
            if is_last:
                self._check_last(checkpoint, signers, accepted, check)
        if by_others:
            self.report.not_checked.append(
                f"the signatures of {by_others} earlier checkpoints: only keys that you do not name have signed them. "
                "The last one proves that it continues them"
            )

    def _in_future(self) -> None:
        for one in self._keys:
            if parse_time(one.since) > self._trust.now + TOLERANCE:
                self._signed.find(f"the key {one.key} signs since {one.since}, which is in the future", one.line)

    def _signers(self, checkpoint: Checkpoint, check: Check, line: int | None, of: str = "") -> Signers:
        known = [*(one.key for one in self._keys), *self._trust.keys, *self._witnesses, *self._trust.witnesses]
        signers = signers_of(checkpoint, known)
        for key in signers.wrong:
            check.find(f"{of}the signature by {key} is wrong: the checkpoint was changed, or the signature", line)
        for key, at in signers.witnesses.items():
            if at > self._trust.now + TOLERANCE:
                check.find(f"{of}the cosignature by {key} is of {show_time(at)}, which is in the future", line)
        return signers

    def _check_rotation(self, checkpoint: Checkpoint, signers: Signers, check: Check) -> None:
        """After a key was replaced, the new one has to sign. At the size where it took over, the old one may have."""
        in_force = [one for one in self._keys if one.size < checkpoint.size or one is self._keys[0]][-1]
        may_sign = {in_force.key, *(one.key for one in self._keys if one.size == checkpoint.size)}
        if signers.keys and signers.keys.isdisjoint(may_sign):
            old = ", ".join(sorted(str(key) for key in signers.keys))
            check.find(
                f"the checkpoint of size {checkpoint.size} is signed by {old}: an old key after its rotation; since "
                f"size {in_force.size} the key {in_force.key} has to sign",
                checkpoint.line,
            )

    def _check_last(self, last: Checkpoint, signers: Signers, accepted: Sequence[Key], check: Check) -> None:
        newest = accepted[-1] if accepted else None
        if self._trust.keys and newest is not None and newest not in signers.keys and signers.keys & set(accepted):
            check.find(
                f"the last checkpoint, of size {last.size}, is not signed by {newest}, the newest key that you trust, "
                "but by an older one: the bundle is from before the rotation, or made with a key that was replaced",
                last.line,
            )
        self._check_witnesses(last, signers)

    def _note_cosignatures(self, checkpoint: Checkpoint, signers: Signers) -> None:
        known = self._trust.witnesses or self._witnesses
        for key, at in signers.witnesses.items():
            if key in known:
                self._seen.append(SeenAt(checkpoint.size, at, str(key)))

    def _check_witnesses(self, last: Checkpoint, signers: Signers) -> None:
        trust = self._trust
        if trust.witnesses:
            check = self.report.check("witnesses that you trust have cosigned the last checkpoint", "witnesses")
            check.covered = self._cosigned = sum(key in signers.witnesses for key in trust.witnesses)
            if check.covered < trust.least_witnesses:
                missing = ", ".join(str(key) for key in trust.witnesses if key not in signers.witnesses)
                check.find(
                    f"{check.covered} of your {len(trust.witnesses)} witnesses have cosigned the checkpoint of size "
                    f"{last.size}, and you ask for {trust.least_witnesses}; missing: {missing}",
                    last.line,
                )
        others = [str(key) for key in signers.witnesses if key not in trust.witnesses]
        if others:
            self.report.not_checked.append(
                f"who the witnesses are that only the bundle names: {', '.join(sorted(others)[:SHOWN])}"
            )

    def _check_consistency(self) -> None:
        check = self.report.check("each checkpoint continues the one before", "proofs")
        for (old, new), (_, _, proof, line) in zip(
            zip(self._checkpoints, self._checkpoints[1:], strict=False), self._proofs, strict=True
        ):
            check.covered += 1
            if not continues(old.size, new.size, old.root, new.root, proof):
                check.find(
                    f"it is not proven that the tree of {old.size} leaves is the beginning of that of {new.size}: the "
                    "history was changed or forked, or the proof is wrong",
                    line,
                )

    def _check_kept(self, kept: Kept) -> None:
        check = self.report.check("the history continues the heads that you kept", "heads")
        name, head = kept
        of = f"{name}: "
        if head.origin != self._origin:
            check.find(f"{of}the head is of the log {head.origin!r}, and the bundle of {self._origin!r}")
            return
        signers = self._signers(head, check, None, of)
        if signers.keys.isdisjoint(self._accepted()):
            whose = "that you trust" if self._trust.keys else "of the bundle"
            check.find(f"{of}no key {whose} has signed the head")
            return
        same = [one for one in self._checkpoints if one.size == head.size]
        if head.size > self._size:
            check.find(
                f"{of}the head that you kept is of size {head.size}, and the bundle ends at {self._size}: it is older "
                "than what was shown before, or its end was cut off"
            )
        elif same:
            check.covered += 1
            lines, kept_lines = _lines_of_heads(same[0]), _lines_of_heads(head)
            if same[0].root != head.root:
                self._forked(check, of, head.size, same[0].line)
            elif lines and kept_lines and lines != kept_lines:
                check.find(
                    f"{of}the head that you kept commits to other heads of streams at size {head.size}: one of the two "
                    "was signed to leave events out",
                    same[0].line,
                )
        elif self._kind == "log":
            self._targets.append(Target(head.size, head.root, None, name))
        elif head.size:
            check.find(
                f"{of}the head of size {head.size} cannot be compared: the bundle has no consistency proof from it; "
                f"ask for a bundle with --since {head.size}"
            )

    def _forked(self, check: Check, of: str, size: int, line: int | None) -> None:
        check.find(
            f"{of}the first {size} events have another root than in the head that you kept: there are two histories, "
            "a fork, or it was rewritten",
            line,
        )

    # Events

    def _grow(self, hash: bytes) -> None:
        if self._tree.size == 0:
            self._reach()
        self._tree.add(hash)
        self._of_tree.covered += 1
        self._reach()
        if self._tree.size % PROGRESS == 0:
            self._progress(self._tree.size)

    def _reach(self) -> None:
        """Compare the root with the targets of this size."""
        while self._targets and self._targets[0].size == self._tree.size:
            size, root, line, kept = self._targets.pop(0)
            agrees = root == self._tree.root()
            if kept is not None:
                check = self.report.check("the history continues the heads that you kept", "heads")
                check.covered += 1
                if not agrees:
                    self._forked(check, f"{kept}: ", size, None)
            elif agrees:
                self._agreed = size
            elif not self._forged:
                self._forged = True
                after = f", after position {self._agreed}" if self._agreed else ""
                self._of_tree.find(
                    f"the first {size} events do not have the root of the checkpoint of this size: up to position "
                    f"{size}{after} one was changed, left out, added or moved",
                    line,
                )

    def _included(self, leaf: Leaf, hash: bytes, proof: list[bytes]) -> None:
        last = self._checkpoints[-1]
        self._of_tree.covered += 1
        if root_from(leaf.position - 1, last.size, hash, proof) != last.root:
            self._of_tree.find(
                "the inclusion proof does not lead from the event to the root of the last checkpoint: the event was "
                "changed, or the proof is of another event or tree",
                self._number,
                leaf.position,
            )

    def _in_order(self, leaf: Leaf) -> None:
        """Hold an event to the one before it: positions and times."""
        before, self._last = self._last, leaf
        position, at = leaf.position, leaf.recorded_at
        self._dense.covered += 1
        self._times.covered += 1
        expected = 1 if before is None else before.position + 1
        if position != expected and (self._kind in ("log", "command") or position < expected):
            self._out_of_order(leaf, before, expected)
        if before is not None and at < before.recorded_at:
            self._times.find(
                f"it was recorded {show_time(at)}, and the event before it, at {before.position}, "
                f"{show_time(before.recorded_at)}",
                self._number,
                position,
            )
        while position > self._limits[-1].position:
            self._limits.pop()
        limit = self._limits[-1]
        if at > limit.time + TOLERANCE:
            self._times.find(
                f"it was recorded {show_time(at)}, after {limit.who} {show_time(limit.time)}",
                self._number,
                position,
            )

    def _in_one_encoding(self, leaf: Leaf) -> None:
        """Hold an event to the encoding of the log: what is said to be opaque is not looked at."""
        self._encodings.covered += 1
        if leaf.encoding not in (JSON_EVENT, OPAQUE_EVENT):
            what = f"it has the encoding {leaf.encoding}, which does not exist"
            self._encodings.find(what, self._number, leaf.position)
        elif self._encoding not in (None, leaf.encoding):
            what = "the log has events in JSON and opaque ones, and each log has one kind of them"
            self._encodings.find(what, self._number, leaf.position)
        else:
            self._encoding = leaf.encoding

    def _out_of_order(self, leaf: Leaf, before: Leaf | None, expected: int) -> None:
        position = leaf.position
        if before is None and self._kind == "command" and position > 0:
            return
        if before is not None and position == before.position:
            self._dense.find("the position is there twice", self._number, position)
        elif position < expected:
            self._dense.find(f"the position comes after {expected - 1}", self._number, position)
        else:
            self._dense.find(f"position {expected} is missing before it", self._number, position)

    def _compute_limits(self) -> list[SeenAt]:
        """By when events up to a position were recorded: positions fall, and times too, so the last one counts."""
        limits = [SeenAt(MOST_INTEGER, self._trust.now, "now,")]
        for seen in sorted(self._seen, reverse=True):
            if seen.time < limits[-1].time:
                limits.append(seen._replace(who=f"{seen.who} saw it at"))
        return limits

    def _of_stream(self, leaf: Leaf) -> None:
        """Take an event of the only stream."""
        if leaf.stream != self.report.header["stream"]:
            self._of_tree.find(f"the event is of another stream, {leaf.stream[:80]!r}", self._number, leaf.position)
            return
        self._opaque += leaf.encoding != JSON_EVENT
        self._contiguous.covered += leaf.encoding == JSON_EVENT
        if leaf.encoding == JSON_EVENT and leaf.version != self._versions + 1:
            self._contiguous.find(
                f"it has version {leaf.version}, and version {self._versions + 1} is expected",
                self._number,
                leaf.position,
            )
        self._versions = leaf.version
        if self._kind == "statement" and leaf.encoding == JSON_EVENT:
            try:
                self._entries.event(leaf)
            except ValueError as error:
                self._of_tree.find(f"the {leaf.type} cannot be read: {error}", self._number, leaf.position)

    # The end

    def _finish(self) -> None:
        getattr(self, f"_finish_{self._kind}")()
        self._list_not_checked()

    def _finish_log(self) -> None:
        self._reach()
        if self._tree.size != self._size:
            self._of_tree.find(f"the bundle has {self._tree.size} events, and its last checkpoint is of {self._size}")
        self._units.end()
        heads = self._compute_heads()
        committed = self._committed
        root = heads.root()
        self._heads.covered = heads.streams
        if committed is not None and (heads.streams, root) != committed:
            self._heads.find(
                f"the heads of the {heads.streams} streams of the events are not those of the {committed.streams} "
                "streams that the last checkpoint commits to",
                self._checkpoints[-1].line,
            )

    def _compute_heads(self) -> Heads:
        """The heads of all streams, from the events in the order of streams and positions. Versions are checked."""
        heads, contiguous = Heads(), self._contiguous
        opaque = self._units.opaque > 0
        key, position, version = b"", 0, 0
        for packed in self._places:
            of, at, next_version = _PLACE.unpack(packed)
            if of != key:
                if key:
                    heads.add(key, version, position)
                key, version, position = of, 0 if not opaque else next_version - 1, 0
            contiguous.covered += not opaque
            if next_version != version + 1 and not (opaque and next_version > version):
                where = f"after version {version} at {position}" if position else "first"
                contiguous.find(f"version {next_version} of its stream comes {where}", position=at)
            version, position = next_version, at
        if key:
            heads.add(key, version, position)
        return heads

    def _finish_stream(self) -> None:
        self._heads.covered += not self._opaque
        position = self._last.position if self._last else 0
        if self._head is None:
            self._heads.find("the head of the stream is not in the bundle, so events can be left out at its end")
        elif self._head != (self._versions, position):
            self._heads.find(
                f"the stream has {self._head[0]} events up to position {self._head[1]}, and the bundle has them up to "
                f"version {self._versions} at position {position}: events are left out"
            )

    def _finish_statement(self) -> None:
        self._finish_stream()
        if self._statement is None:
            raise Malformed("the bundle has no statement")
        self._statement.check(self._entries)

    def _finish_event(self) -> None:
        check = self.report.check("the bundle has the event that its header names", "events")
        check.covered = self._of_tree.covered
        if check.covered != 1 or self._last is None or self._last.position != self.report.header["position"]:
            check.find(f"the bundle does not have the event of position {self.report.header['position']} alone")
        if self._last is not None and self._records.waiting:
            self._records.check(None, self._last, self._number)

    def _finish_command(self) -> None:
        self._units.end()
        header = self.report.header
        check = self.report.check("the bundle has the command that its header names", "commands")
        check.covered = len(self._records.commands)
        if self._records.commands != [(header["actor"], header["command"])]:
            check.find(f"the bundle does not have the command {header['command']!r} of {header['actor']!r} alone")

    def _list_not_checked(self) -> None:
        self.report.not_checked[:] = [*self._of_whom(), *self.report.not_checked, *self._of_content()]

    def _of_whom(self) -> Iterator[str]:
        if not self._trust.keys:
            yield "whose the keys are: only the bundle names them. Get the key of the log and pass it as --key"
        if len(self._keys) > 1:
            yield "when keys were replaced: only the bundle says so"
        if not self._trust.kept:
            yield (
                "whether others were shown the same history, or you before: pass a head that you or they kept as --kept"
            )
        elif (kept := max(one.checkpoint.size for one in self._trust.kept)) < self._size:
            yield f"whether others were shown the same history after position {kept}, where the heads end that you kept"
        if not self._trust.witnesses:
            yield "whether a witness has seen this history: pass the key of one as --witness"
        elif not self._cosigned:
            yield "whether a witness has seen this history: none of those that you name has cosigned it"

    def _of_content(self) -> Iterator[str]:
        kind = self._kind
        if kind in ("stream", "statement"):
            yield (
                "whether the log computed the heads of streams as it should: the checkpoint says so, and witnesses do "
                "not look at it. A bundle of the kind log shows it"
            )
        earlier = sum(bool(_lines_of_heads(one)) for one in self._checkpoints[:-1])
        if earlier:
            yield f"the heads of streams of {earlier} earlier checkpoints"
        if kind in ("stream", "statement", "event"):
            yield "records of commands, whole units and sums of transactions: they need the events of other streams"
        if self._opaque + (self._units.opaque if kind in ("log", "command") else 0):
            yield "what the opaque events of the eventsourcing library say"
        if self._opaque and kind == "stream":
            yield "whether opaque events are left out before the last one: their versions need not be contiguous"
        if kind in ("log", "command"):
            yield "whether a command has a second unit: each unit is compared with its own record alone"
        if kind in ("log", "command") and self._records.unnamed:
            yield f"which command {self._records.unnamed} units are of: they are from before events named its key"
        if self._statement is not None:
            if self._statement.position < self._size:
                yield (
                    f"entries after position {self._statement.position}: the statement is as of that position, and the "
                    f"log goes on to {self._size}"
                )
            yield f"in the statement: {', '.join(self._statement.unknown())}"
        yield "sealed fields, and whether each decision kept the rules of the ledger: `daybook verify` does that"


PROGRESS: Final = 100_000
_LEAF_LINE: Final = b'{"leaf":{"bytes":"'
_RECORD_LINE: Final = b'{"record":{"bytes":"'
_READ: Final[dict[str, Callable[[Verification, Any], None]]] = {
    name: getattr(Verification, f"_read_{name}") for name in ORDER
}


GZIP: Final = b"\x1f\x8b"


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a bundle. Raises `Malformed` for a line that is too long or was cut."""
    while True:
        try:
            line = file.readline(MOST_LINE_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise Malformed("the compressed file was cut or changed") from None
        if len(line) > MOST_LINE_BYTES:
            raise Malformed(f"a line has at most {MOST_LINE_BYTES:,} bytes")
        if line[-1:] != b"\n":
            if not line:
                return
            raise Malformed("the file ends within a line: it was cut")
        yield line


def verify(
    bundle: io.BufferedReader, trust: Trust, folder: str | None = None, progress: Callable[[int], None] | None = None
) -> Report:
    """Check a bundle, plain or compressed by gzip. Temporary files go to the folder. Raises `OSError`."""
    compressed = bundle.peek(len(GZIP))[: len(GZIP)] == GZIP
    file = cast(IO[bytes], gzip.GzipFile(fileobj=bundle)) if compressed else bundle
    return Verification(trust, folder, progress or _no_progress).run(file)


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        trust = _trust(options)
        report = _run(options, trust)
        if options.keep is not None and report.ok and report.note is not None:
            _keep(options.keep, report.note)
    except (Misused, OSError) as error:
        print(f"daybook-verify: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("daybook-verify: interrupted", file=sys.stderr)
        return 2
    try:
        print(json.dumps(report.as_json(), indent=2) if options.json else "\n".join(report.as_text()), flush=True)
    except OSError as error:
        sys.stdout = None  # what is left in its buffer would fail again at the end
        print(f"daybook-verify: the report cannot be written: {error}", file=sys.stderr)
        return 2
    return 0 if report.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="daybook-verify",
        description="Check a bundle of a Daybook ledger without trusting whoever runs it.",
        epilog="Exit code 0: all holds that could be checked. 1: something is wrong with the bundle. 2: the command "
        "line is wrong, or a file cannot be read or written.",
    )
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="the file, plain or compressed by gzip; - is the standard input"
    )
    parser.add_argument(
        "--key", action="append", default=[], metavar="VERIFIER",
        help="a key of the log that you trust, such as name+1f2e3d4c+AQ…; several after a rotation, the newest last",
    )  # fmt: skip
    parser.add_argument(
        "--kept", action="append", default=[], metavar="FILE", type=Path,
        help="a checkpoint that you kept, or that somebody else got; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--witness", action="append", default=[], metavar="VERIFIER",
        help="the key of a witness that you trust; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--witnesses", type=int, metavar="N",
        help="how many of them must have cosigned the last checkpoint; 1 if you name one",
    )  # fmt: skip
    parser.add_argument("--now", metavar="TIME", help="the time, such as 2026-11-30T12:00:00Z; without it the clock's")
    parser.add_argument("--temp", metavar="DIR", type=Path, help="the folder for what is sorted: 50 bytes an event")
    parser.add_argument("--keep", metavar="FILE", type=Path, help="write the last checkpoint here if all holds")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _trust(options: argparse.Namespace) -> Trust:
    """What the options say. Raises `Misused`."""
    keys = [_key(text, ED25519, "--key") for text in options.key]
    witnesses = [_key(text, COSIGNATURE, "--witness") for text in options.witness]
    if len({(key.name, key.id) for key in keys}) < len(keys):
        raise Misused("--key names the same key twice")
    if len({key.raw for key in witnesses}) < len(witnesses):  # under two names it is one witness
        raise Misused("--witness names the same key twice")
    least = (1 if witnesses else 0) if options.witnesses is None else options.witnesses
    if not 0 <= least <= len(witnesses):
        raise Misused(f"--witnesses {least} of {len(witnesses)} that --witness names cannot be")
    try:
        now = time.time_ns() // 1000 if options.now is None else parse_time(options.now)
    except (ValueError, OverflowError):
        raise Misused(f"--now {options.now!r} is not a time such as 2026-11-30T12:00:00Z") from None
    return Trust(keys, witnesses, least, [_kept(path) for path in options.kept], now)


def _key(text: str, type: int, option: str) -> Key:
    try:
        return parse_key(text_of(text, "the key"), type, "the key")
    except Malformed as error:
        raise Misused(f"{option}: {error}") from None


def _kept(path: Path) -> Kept:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_NOTE_BYTES + 1)
        return Kept(path.name, parse_checkpoint(raw.decode(), None))
    except UnicodeDecodeError:
        raise Misused(f"--kept {path}: it is not UTF-8") from None
    except Malformed as error:
        raise Misused(f"--kept {path}: {error}") from None


def _run(options: argparse.Namespace, trust: Trust) -> Report:
    folder = None if options.temp is None else str(options.temp)
    is_shown = sys.stderr is not None and sys.stderr.isatty() and options.bundle != "-"
    progress = _show_progress if is_shown else _no_progress
    if options.bundle == "-":
        if sys.stdin is None:
            raise Misused("the standard input is closed")
        return verify(cast(io.BufferedReader, sys.stdin.buffer), trust, folder, progress)
    with Path(options.bundle).open("rb") as file:
        return verify(file, trust, folder, progress)


def _keep(path: Path, note: str) -> None:
    """Write the head into a new file and rename that, so that a full disk does not destroy the head that was kept."""
    if path.exists() and not path.is_file():  # a pipe or a device, which a rename would replace
        path.write_text(note, encoding="utf-8", newline="")
        return
    path = path.resolve()
    new = Path(f"{path}.new")
    with new.open("w", encoding="utf-8", newline="") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _no_progress(events: int) -> None:
    """Show nothing."""


def _show_progress(events: int) -> None:
    print(f"\r{events:,} events", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
