"""The lines of a bundle, version 1: evidence that a stranger can check. docs/bundle.md has the format.

Everything here is pure. `eventstore.proof.evidence` reads the parts from the database.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import orjson

from eventstore.proof.heads import HeadProof

FORMAT: Final = "daybook.bundle"
VERSION: Final = 1
MOST_LINE_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a line, with its newline."""
MEDIA_TYPE: Final = "application/x-ndjson"

Kind = Literal["log", "stream", "statement", "event", "command"]
Line = Mapping[str, Any]


class BundleError(ValueError):
    """Something does not fit into a bundle. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a bundle is evidence of, and the members of its header that say what was asked for."""

    kind: Kind
    asked: Mapping[str, str | int]


def header(subject: Subject, origin: str, log: UUID, size: int) -> Line:
    """The first line. `size` is that of the last checkpoint."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": subject.kind,
        "origin": origin,
        "log": str(log),
        "size": size,
        **subject.asked,
    }


def key(verifier: str, since: datetime, size: int) -> Line:
    """A public key of the log, since when it signs, and the size of the tree at that moment."""
    return {"key": {"verifier": verifier, "since": since, "size": size}}


def witness(verifier: str) -> Line:
    """The public key of a witness."""
    return {"witness": {"verifier": verifier}}


def checkpoint(note: str) -> Line:
    """A checkpoint, with its signatures."""
    return {"checkpoint": {"note": note}}


def consistency(old: int, new: int, proof: Sequence[bytes]) -> Line:
    """That the tree of one size is the beginning of that of another."""
    return {"consistency": {"from": old, "to": new, "proof": _texts(proof)}}


def record(record: bytes) -> Line:
    """The bytes of the record of a command."""
    return {"record": {"bytes": _text(record)}}


def leaf(leaf: bytes, proof: Sequence[bytes] | None) -> Line:
    """The bytes of a leaf. A bundle of the whole log has no proofs."""
    return {"leaf": {"bytes": _text(leaf)} if proof is None else {"bytes": _text(leaf), "proof": _texts(proof)}}


def head(proof: HeadProof) -> Line:
    """The head of a stream."""
    return {
        "head": {
            "stream": proof.stream,
            "version": proof.version,
            "position": proof.position,
            "index": proof.index,
            "streams": proof.streams,
            "bucket": _texts(proof.bucket),
            "top": _texts(proof.top),
        }
    }


def statement(parts: Iterable[bytes]) -> Line:
    """A statement: the bytes of a JSON object, in parts. Raises `BundleError` if they are too many."""
    statement = bytearray()
    for part in parts:
        statement += part.replace(b"\n", b"")  # JSON has a line feed only between its tokens
        if len(statement) > MOST_LINE_BYTES:
            raise BundleError(
                f"the statement has more than {MOST_LINE_BYTES} bytes, which is the most for a line of a bundle: ask "
                "for a shorter period"
            )
    return {"statement": orjson.Fragment(bytes(statement))}


def encoded(lines: Iterable[Line]) -> Iterator[bytes]:
    """The bytes of the lines, and of the last line, which has their number. Raises `BundleError`."""
    number = 0
    for line in lines:
        number += 1
        yield _encoded(line)
    yield _encoded({"end": {"lines": number}})


def _encoded(line: Line) -> bytes:
    encoded = orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
    if len(encoded) > MOST_LINE_BYTES:
        raise BundleError(
            f"a line of a bundle has at most {MOST_LINE_BYTES} bytes, and one with a {next(iter(line))} would have "
            f"{len(encoded)}"
        )
    return encoded


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _texts(values: Sequence[bytes]) -> list[str]:
    return [_text(value) for value in values]
