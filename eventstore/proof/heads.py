"""The heads of streams: how many events each stream has, as a tree that checkpoints commit to (ADR 70, docs/bundle.md).

A head is the key of a stream, its version and the position of its last event. The first two bytes of the key tell the
bucket. The heads of a bucket, ascending, are the leaves of a tree, and the roots of the 65,536 buckets are the leaves
of another one, which fills the tiles of two levels. Its root and the number of streams stand in an extension line of
the checkpoint that has the same size.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from eventstore.log.leaf import leaf_hash
from eventstore.proof.checkpoints import Checkpoint
from eventstore.proof.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    MOST_LEAVES,
    Node,
    ProofError,
    ReadNodes,
    inclusion_proof,
    root,
    root_of_inclusion,
    verify_inclusion,
)
from eventstore.proof.notes import NoteError, decode_base64
from eventstore.proof.tiles import TILE_BYTES, WIDTH, ReadTiles, Tile, reader_of, root_of_full

HEADS: Final = "daybook.heads.v1"
"""What an extension line with the root of the heads begins with."""
BUCKETS: Final = WIDTH * WIDTH
KEY_BYTES: Final = HASH_BYTES
HEAD_BYTES: Final = 48
_HEAD: Final = Struct(f">{KEY_BYTES}sQQ")
assert _HEAD.size == HEAD_BYTES, "the format of docs/bundle.md"
_LINE: Final = re.compile(rf"{re.escape(HEADS)} (0|[1-9][0-9]{{0,18}}) (\S+)", re.ASCII)


class Head(NamedTuple):
    """The key of a stream, the number of its events and the position of the last one."""

    key: bytes
    version: int
    position: int

    @property
    def packed(self) -> bytes:
        """The 48 bytes that are a leaf of the tree of its bucket."""
        return _HEAD.pack(*self)


class Heads(NamedTuple):
    """What a checkpoint says about the heads: how many streams there are, and the root over the buckets."""

    streams: int
    root: bytes


@dataclass(frozen=True, slots=True)
class HeadProof:
    """That a stream has exactly `version` events, the last one at `position`.

    Its head is the `index`-th of the `streams` heads of its bucket. `bucket` leads to the root of the bucket, and
    `top`, 16 hashes, from there to the root over the buckets.
    """

    stream: str
    version: int
    position: int
    index: int
    streams: int
    bucket: list[bytes]
    top: list[bytes]


def key_of(stream: str) -> bytes:
    """The key of a stream."""
    return hashlib.sha256(stream.encode()).digest()


def bucket_of(key: bytes) -> int:
    """The number of the bucket of a key, or of a head."""
    return int.from_bytes(key[:2], "big")


def line_of(heads: Heads) -> str:
    """The extension line of a checkpoint."""
    return f"{HEADS} {heads.streams} {b64encode(heads.root).decode()}"


def parse_line(line: str) -> Heads:
    """What an extension line says. Raises `NoteError`."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise NoteError(f"the heads of streams are a line of {HEADS}, a number and a root, not {line[:80]!r}")
    streams, text = int(found[1]), decode_base64(found[2], "the root of the heads of streams")
    if len(text) != HASH_BYTES:
        raise NoteError(f"the root of the heads of streams has {HASH_BYTES} bytes, not {len(text)}")
    if streams > MOST_LEAVES:
        raise NoteError(f"there are at most {MOST_LEAVES} streams, not {streams}")
    return Heads(streams, text)


def heads_of(checkpoint: Checkpoint) -> Heads | None:
    """The heads that a checkpoint commits to; None if it has no such line. Raises `NoteError`."""
    lines = [line for line in checkpoint.extensions if line.split(" ", 1)[0] == HEADS]
    if len(lines) > 1:
        raise NoteError(f"a checkpoint has one line {HEADS} at most, and this one has {len(lines)}")
    return parse_line(lines[0]) if lines else None


# One bucket: its heads, joined in ascending order


def split_heads(heads: bytes) -> list[bytes]:
    """The heads of a bucket one by one, 48 bytes each. Raises `ProofError`."""
    if len(heads) % HEAD_BYTES:
        raise ProofError(f"heads have {HEAD_BYTES} bytes each, and there are {len(heads)} bytes")
    return [heads[at : at + HEAD_BYTES] for at in range(0, len(heads), HEAD_BYTES)]


def merge_heads(heads: bytes, changed: Iterable[bytes]) -> bytes:
    """The heads of a bucket after some changed or came. Raises `ProofError` where a stream would not have grown."""
    merged = {head[:KEY_BYTES]: head for head in split_heads(heads)}
    for head in changed:
        key = head[:KEY_BYTES]
        before = merged.get(key)
        if before is not None:
            _check_grown(_HEAD.unpack(before), _HEAD.unpack(head))
        merged[key] = head
    return b"".join(sorted(merged.values()))


def _check_grown(before: tuple[bytes, int, int], now: tuple[bytes, int, int]) -> None:
    if now[1] <= before[1] or now[2] <= before[2]:
        raise ProofError(
            f"a stream has {before[1]} events up to position {before[2]}, and after that its last one is event "
            f"{now[1]} at position {now[2]}"
        )


def bucket_root(heads: bytes) -> bytes:
    """The root of a bucket."""
    leaves = split_heads(heads)
    return root(len(leaves), _reader(leaves))


def _reader(leaves: Sequence[bytes]) -> ReadNodes:
    """A reader of the nodes of a small tree, all of whose leaves are there."""
    hashes = b"".join([leaf_hash(leaf) for leaf in leaves])

    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [
            root_of_full(hashes[HASH_BYTES * (number << height) : HASH_BYTES * (number + 1 << height)])
            for height, number in nodes
        ]

    return read


# The tree over the buckets: 256 tiles at level 0, one at level 1

_EMPTY_HASH: Final = leaf_hash(EMPTY_ROOT)
EMPTY_TILES: Final = (_EMPTY_HASH * WIDTH, root_of_full(_EMPTY_HASH * WIDTH) * WIDTH)
"""A tile of each level where no bucket has a stream."""
TOP: Final = Tile(1, 0)
"""The tile over all others."""


def tile_of(bucket: int) -> Tile:
    """The tile of level 0 that has the root of a bucket."""
    return Tile(0, bucket // WIDTH)


def set_roots(tile: Tile, hashes: bytes, roots: Mapping[int, bytes]) -> bytes:
    """A tile of level 0 with the roots of some of its buckets replaced."""
    changed = bytearray(_whole(tile, hashes))
    for bucket, root_of_bucket in roots.items():
        place = bucket - tile.number * WIDTH
        assert 0 <= place < WIDTH, "the tile has these buckets"
        changed[HASH_BYTES * place : HASH_BYTES * (place + 1)] = leaf_hash(root_of_bucket)
    return bytes(changed)


def set_tiles(top: bytes, tiles: Mapping[Tile, bytes]) -> bytes:
    """The tile over all others with the hashes of some tiles of level 0 replaced."""
    changed = bytearray(_whole(TOP, top))
    for tile, hashes in tiles.items():
        changed[HASH_BYTES * tile.number : HASH_BYTES * (tile.number + 1)] = root_of_full(hashes)
    return bytes(changed)


def root_of_top(top: bytes) -> bytes:
    """The root over all buckets from the tile over all others."""
    return root_of_full(_whole(TOP, top))


def _whole(tile: Tile, hashes: bytes) -> bytes:
    """The hashes of a tile; none stand for a tile where no bucket has a stream. Raises `ProofError`."""
    if len(hashes) not in (0, TILE_BYTES):
        raise ProofError(f"a tile over the buckets has {TILE_BYTES} bytes, not {len(hashes)}")
    return hashes or EMPTY_TILES[tile.level]


def heads_by_bucket(heads: Iterable[Head]) -> dict[int, bytes]:
    """The heads of each bucket that has one, joined in ascending order."""
    found: dict[int, list[bytes]] = {}
    for head in heads:
        found.setdefault(bucket_of(head.key), []).append(head.packed)
    return {bucket: b"".join(sorted(inside)) for bucket, inside in found.items()}


def tiles_over(buckets: Mapping[int, bytes]) -> dict[Tile, bytes]:
    """The tiles over all buckets, from the heads of those that have some. A tile that is missing has no streams."""
    tiles: dict[Tile, bytes] = {}
    for bucket, heads in buckets.items():
        tile = tile_of(bucket)
        tiles[tile] = set_roots(tile, tiles.get(tile, b""), {bucket: bucket_root(heads)})
    return tiles | {TOP: set_tiles(b"", tiles)}


def root_of_buckets(buckets: Mapping[int, bytes]) -> bytes:
    """The root over all buckets from the heads of those that have some."""
    return root_of_top(tiles_over(buckets)[TOP])


# Proofs


def prove_head(stream: str, heads: bytes, read: ReadTiles) -> HeadProof | None:
    """The proof of a head from the heads of its bucket and the tiles over the buckets; None if it is not there."""
    key, leaves = key_of(stream), split_heads(heads)
    index = bisect_left(leaves, key)
    if index == len(leaves) or leaves[index][:KEY_BYTES] != key:
        return None
    _, version, position = _HEAD.unpack(leaves[index])

    def whole(tiles: Sequence[Tile]) -> list[bytes]:
        return [_whole(tile, hashes) for tile, hashes in zip(tiles, read(tiles), strict=True)]

    return HeadProof(
        stream,
        version,
        position,
        index,
        len(leaves),
        inclusion_proof(index, len(leaves), _reader(leaves)),
        inclusion_proof(bucket_of(key), BUCKETS, reader_of(BUCKETS, whole)),
    )


def verify_head(proof: HeadProof, root: bytes) -> None:
    """Raise `ProofError` unless the head is in the tree with this root over the buckets."""
    if not (0 < proof.version <= proof.position <= MOST_LEAVES):
        raise ProofError(
            f"the stream {proof.stream} cannot have {proof.version} events with the last one at {proof.position}"
        )
    key = key_of(proof.stream)
    hash = leaf_hash(Head(key, proof.version, proof.position).packed)
    try:
        of_bucket = root_of_inclusion(proof.index, proof.streams, hash, proof.bucket)
        verify_inclusion(bucket_of(key), BUCKETS, leaf_hash(of_bucket), proof.top, root)
    except ProofError as error:
        raise ProofError(f"the head of the stream {proof.stream} is not proven: {error}") from None
