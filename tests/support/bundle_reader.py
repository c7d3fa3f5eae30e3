"""Reads bundles with the pure functions of `eventstore.proof`, and checks what their proofs prove."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from eventstore.log.leaf import leaf_hash
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint
from eventstore.proof.heads import HeadProof, heads_of, verify_head
from eventstore.proof.merkle import verify_consistency, verify_inclusion
from eventstore.proof.notes import parse_verifier
from eventstore.proof.tiles import Edge

ORDER = ("key", "witness", "checkpoint", "consistency", "record", "leaf", "head", "statement", "end")
"""The kinds of lines, in the order in which they come. Records stand among the leaves."""


class Leaf(NamedTuple):
    """A leaf: its bytes, some of its fields, and its proof."""

    raw: bytes
    position: int
    unit_end: int
    stream: str
    version: int
    type: str
    payload: bytes
    commands: bytes
    proof: list[bytes] | None


@dataclass
class Bundle:
    """The lines of a bundle."""

    header: dict[str, Any]
    keys: list[dict[str, Any]] = field(default_factory=list)
    witnesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    consistency: list[dict[str, Any]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    heads: list[HeadProof] = field(default_factory=list)
    statement: dict[str, Any] | None = None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints, whose signatures hold."""
        known = [parse_verifier(one["verifier"]) for one in self.keys]
        return [open_checkpoint(note.encode(), self.header["origin"], known).checkpoint for note in self.notes]


def read(content: bytes) -> Bundle:
    """The bundle of these bytes, whose lines come in their order. Raises `AssertionError`."""
    assert content.endswith(b"\n")
    first, *lines = [orjson.loads(line) for line in content.splitlines()]
    bundle, reached, ended = Bundle(first), 0, False
    for number, line in enumerate(lines, 1):
        [(kind, value)] = line.items()
        place = ORDER.index("leaf" if kind == "record" else kind)
        assert place >= reached, f"{kind} in line {number + 1}"
        assert not ended
        reached = place
        match kind:
            case "key":
                bundle.keys.append(value)
            case "witness":
                bundle.witnesses.append(value["verifier"])
            case "checkpoint":
                bundle.notes.append(value["note"])
            case "consistency":
                bundle.consistency.append(value)
            case "record":
                bundle.records.append(b64decode(value["bytes"]))
            case "leaf":
                bundle.leaves.append(_leaf(value))
            case "head":
                bundle.heads.append(HeadProof(**value | {name: _hashes(value[name]) for name in ("bucket", "top")}))
            case "statement":
                bundle.statement = value
            case "end":
                assert value == {"lines": number}
                ended = True
    assert ended
    return bundle


def check(bundle: Bundle) -> None:
    """Check signatures, consistency, inclusion, heads and records. Raises an error for what does not hold."""
    checkpoints = bundle.checkpoints
    last = checkpoints[-1]
    assert bundle.header["size"] == last.size
    assert len(bundle.consistency) == len(checkpoints) - 1
    for proof, (old, new) in zip(bundle.consistency, pairwise(checkpoints), strict=True):
        assert (proof["from"], proof["to"]) == (old.size, new.size)
        verify_consistency(old.size, new.size, old.root, new.root, _hashes(proof["proof"]))
    positions = [leaf.position for leaf in bundle.leaves]
    assert positions == sorted(set(positions))
    if bundle.header["kind"] == "log":
        assert positions == list(range(1, last.size + 1))
        edge = Edge()
        edge.append(b"".join(leaf_hash(leaf.raw) for leaf in bundle.leaves))
        assert edge.root() == last.root
    else:
        for leaf in bundle.leaves:
            assert leaf.proof is not None
            verify_inclusion(leaf.position - 1, last.size, leaf_hash(leaf.raw), leaf.proof, last.root)
    for head in bundle.heads:
        heads = heads_of(last)
        assert heads is not None
        verify_head(head, heads.root)
        of_stream = [leaf for leaf in bundle.leaves if leaf.stream == head.stream]
        assert [leaf.version for leaf in of_stream] == list(range(1, head.version + 1))
        assert of_stream[-1].position == head.position
    recorded = {sha256(record).digest() for record in bundle.records}
    assert recorded <= {leaf.commands for leaf in bundle.leaves}


def fields(encoded: bytes) -> list[bytes | None]:
    """The fields of a leaf or of a record."""
    return list(_fields(encoded))


def _fields(encoded: bytes) -> Iterator[bytes | None]:
    assert encoded[0] == 1
    at = 1
    while at < len(encoded):
        length = int.from_bytes(encoded[at : at + 4], "big", signed=True)
        at += 4
        yield None if length < 0 else encoded[at : at + length]
        at += max(length, 0)
    assert at == len(encoded)


def _leaf(line: dict[str, Any]) -> Leaf:
    raw = b64decode(line["bytes"])
    _, position, unit_end, stream, version, type, _, _, payload, _, commands = (one or b"" for one in fields(raw))
    numbers = (int.from_bytes(one, "big") for one in (position, unit_end, version))
    at, end, number = numbers
    proof = _hashes(line["proof"]) if "proof" in line else None
    return Leaf(raw, at, end, stream.decode(), number, type.decode(), payload, commands, proof)


def _hashes(texts: Sequence[str]) -> list[bytes]:
    return [b64decode(text) for text in texts]
