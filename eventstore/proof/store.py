"""The tree in the database: tiles, checkpoints, keys and heads of streams, and hashes and bytes of the leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from eventstore.postgres.arrays import bytea_array, int2_array, int4_array, int8_array
from eventstore.proof.heads import HeadProof, Heads, bucket_of, key_of, prove_head
from eventstore.proof.merkle import HASH_BYTES
from eventstore.proof.notes import NoteError, check_name
from eventstore.proof.tiles import WIDTH, Edge, Grown, ReadTiles, Tile, edge_of


@dataclass(frozen=True, slots=True)
class Tree:
    """How much of a log is sealed: the events up to the position `size`.

    The heads of streams are stored as they are after the position `heads`, where there are so many `streams`.
    """

    origin: str
    size: int
    heads: int
    streams: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A public key that checkpoints were signed with, since when, and the size of the tree at that moment."""

    number: int
    verifier: str
    since: datetime
    size: int


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed head of the tree. `note` is the text of the signed note."""

    size: int
    root: bytes
    note: str
    signed_at: datetime

    @property
    def origin(self) -> str:
        """What the log was named when it was signed. After a restore the tree has another name (`rename_tree`)."""
        return self.note.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class StoredHeads:
    """What the last checkpoint with heads of streams commits to: its size, the number of streams, and the root."""

    size: int
    streams: int
    root: bytes


_TREE = "SELECT origin, size, heads, streams FROM proof.trees WHERE log = %s"
_TILES = """
SELECT substr(t.hashes, 1, w.width * 32)
  FROM unnest(%s::smallint[], %s::bigint[], %s::integer[]) WITH ORDINALITY AS w(level, number, width, place)
  LEFT JOIN proof.tiles t ON t.log = %s AND t.level = w.level AND t.number = w.number
 ORDER BY w.place
"""
_KEYS = "SELECT number, verifier, since, size FROM proof.keys WHERE log = %s ORDER BY number"
_CHECKPOINTS = "SELECT size, root, note, signed_at FROM proof.checkpoints WHERE log = %s"
_LAST = f"{_CHECKPOINTS} ORDER BY size DESC LIMIT 1"
_COVERING = f"{_CHECKPOINTS} AND size >= %s ORDER BY size LIMIT 1"
_EARLIER = f"{_CHECKPOINTS} AND size <= %s ORDER BY size DESC LIMIT 1"
_HEAD_CHECKPOINT = f"{_CHECKPOINTS} AND heads_root IS NOT NULL ORDER BY size DESC LIMIT 1"
_LAST_HEADS = """
SELECT size, streams, heads_root FROM proof.checkpoints
 WHERE log = %s AND heads_root IS NOT NULL ORDER BY size DESC LIMIT 1
"""
_BUCKETS = """
SELECT h.heads
  FROM unnest(%s::integer[]) WITH ORDINALITY AS b(bucket, place)
  LEFT JOIN LATERAL (SELECT h.heads FROM proof.heads h
                      WHERE h.log = %s AND h.bucket = b.bucket AND h.size <= %s
                      ORDER BY h.size DESC LIMIT 1) AS h ON true
 ORDER BY b.place
"""
_HEAD_TILES = """
SELECT t.hashes
  FROM unnest(%s::smallint[], %s::smallint[]) WITH ORDINALITY AS n(level, number, place)
  LEFT JOIN LATERAL (SELECT t.hashes FROM proof.head_tiles t
                      WHERE t.log = %s AND t.level = n.level AND t.number = n.number AND t.size <= %s
                      ORDER BY t.size DESC LIMIT 1) AS t ON true
 ORDER BY n.place
"""
# One statement, so that everything is of one moment: the size, the heads of the bucket, and the tiles over it.
_HEAD_PROOF = """
WITH last AS MATERIALIZED (SELECT max(size) AS size FROM proof.checkpoints
                            WHERE log = %(log)s AND heads_root IS NOT NULL)
SELECT (SELECT h.heads FROM proof.heads h
         WHERE h.log = %(log)s AND h.bucket = %(bucket)s AND h.size <= last.size ORDER BY h.size DESC LIMIT 1),
       (SELECT t.hashes FROM proof.head_tiles t
         WHERE t.log = %(log)s AND t.level = 0 AND t.number = %(number)s AND t.size <= last.size
         ORDER BY t.size DESC LIMIT 1),
       (SELECT t.hashes FROM proof.head_tiles t
         WHERE t.log = %(log)s AND t.level = 1 AND t.number = 0 AND t.size <= last.size ORDER BY t.size DESC LIMIT 1)
  FROM last
"""

# The bytes of leaves: what `log.leaf_hashes` hashes.
_LEAVES = """
WITH ends AS MATERIALIZED (
    SELECT min(unit_end) AS first, max(unit_end) AS last FROM log.events
     WHERE log = %(log)s AND position > %(after)s AND position <= %(upto)s
), recorded AS MATERIALIZED (
    SELECT c.last_position,
           string_agg(sha256(log.command_record(l.uuid, c)), ''::bytea ORDER BY c.actor, c.key) AS hashes
      FROM log.commands c JOIN log.logs l ON l.log = c.log
     WHERE c.log = %(log)s
       AND c.last_position >= (SELECT first FROM ends) AND c.last_position <= (SELECT last FROM ends)
     GROUP BY c.last_position
     UNION ALL
    SELECT h.last_position, h.hashes FROM log.command_hashes h
     WHERE h.log = %(log)s
       AND h.last_position >= (SELECT first FROM ends) AND h.last_position <= (SELECT last FROM ends)
)
SELECT log.leaf(l.uuid, e, coalesce(r.hashes, ''::bytea))
  FROM log.events e JOIN log.logs l ON l.log = e.log LEFT JOIN recorded r ON r.last_position = e.unit_end
 WHERE e.log = %(log)s AND e.position > %(after)s AND e.position <= %(upto)s
 ORDER BY e.position
"""


def read_tree(connection: Connection[Any], log_number: int) -> Tree | None:
    """How much of a log is sealed; None if sealing has not begun."""
    row = connection.execute(_TREE, (log_number,), binary=True).fetchone()
    return None if row is None else Tree(*row)


def tile_reader(connection: Connection[Any], log_number: int) -> ReadTiles:
    """Reads tiles by one statement a call. A tile that is not there is empty."""

    def read(tiles: Sequence[Tile]) -> list[bytes]:
        levels, numbers, widths = zip(*tiles, strict=True) if tiles else ((), (), ())
        rows = connection.execute(
            _TILES, (int2_array(levels), int8_array(numbers), int4_array(widths), log_number), binary=True
        )
        return [hashes or b"" for (hashes,) in rows]

    return read


def read_edge(connection: Connection[Any], log_number: int, size: int) -> Edge:
    """The right edge of the tree. Raises `ProofError` if tiles are missing."""
    return edge_of(size, tile_reader(connection, log_number))


def read_keys(connection: Connection[Any], log_number: int) -> list[StoredKey]:
    """The keys of a log, the oldest first."""
    return [StoredKey(*row) for row in connection.execute(_KEYS, (log_number,), binary=True)]


def last_checkpoint(connection: Connection[Any], log_number: int) -> StoredCheckpoint | None:
    """The newest checkpoint; None if there is none yet."""
    return _checkpoint(connection, _LAST, (log_number,))


def covering_checkpoint(connection: Connection[Any], log_number: int, size: int) -> StoredCheckpoint | None:
    """The first checkpoint of a tree with at least so many leaves; None if there is none yet."""
    return _checkpoint(connection, _COVERING, (log_number, size))


def earlier_checkpoint(connection: Connection[Any], log_number: int, size: int) -> StoredCheckpoint | None:
    """The last checkpoint of a tree with at most so many leaves; None if there is none."""
    return _checkpoint(connection, _EARLIER, (log_number, size))


def head_checkpoint(connection: Connection[Any], log_number: int) -> StoredCheckpoint | None:
    """The newest checkpoint that commits to the heads of streams; None if there is none yet."""
    return _checkpoint(connection, _HEAD_CHECKPOINT, (log_number,))


def last_heads(connection: Connection[Any], log_number: int) -> StoredHeads | None:
    """What the newest checkpoint with heads of streams commits to; None if there is none yet."""
    row = connection.execute(_LAST_HEADS, (log_number,), binary=True).fetchone()
    return None if row is None else StoredHeads(*row)


def head_proof(connection: Connection[Any], log_number: int, stream: str) -> HeadProof | None:
    """The proof that a stream has so many events at the size of `last_heads`; None if it has none there.

    Whoever reads the checkpoint by another statement needs a transaction with one snapshot.
    """
    bucket = bucket_of(key_of(stream))
    number = bucket // WIDTH
    parameters = {"log": log_number, "bucket": bucket, "number": number}
    row = connection.execute(_HEAD_PROOF, parameters, binary=True).fetchone()
    assert row is not None, "an aggregate returns a row"
    heads, *hashes = (value or b"" for value in row)
    tiles = dict(zip((Tile(0, number), Tile(1, 0)), hashes, strict=True))
    return prove_head(stream, heads, lambda wanted: [tiles[tile] for tile in wanted])


def _checkpoint(connection: Connection[Any], statement: str, parameters: tuple[int, ...]) -> StoredCheckpoint | None:
    row = connection.execute(statement.encode(), parameters, binary=True).fetchone()
    return None if row is None else StoredCheckpoint(*row)


def read_leaves(connection: Connection[Any], log_number: int, after: int, upto: int) -> list[bytes]:
    """The bytes of the leaves after a position up to another, in order."""
    rows = connection.execute(_LEAVES.encode(), {"log": log_number, "after": after, "upto": upto}, binary=True)
    return [leaf for (leaf,) in rows]


# What a sealer does


def begin_tree(connection: Connection[Any], log_number: int, origin: str) -> Tree:
    """The tree of a log, which is begun with this origin if there is none."""
    connection.execute("SELECT proof.begin_tree(%s, %s)", (log_number, origin))
    tree = read_tree(connection, log_number)
    assert tree is not None, "it was begun"
    return tree


def read_leaf_hashes(connection: Connection[Any], log_number: int, after: int, upto: int) -> bytes:
    """The hashes of the leaves after a position up to another, joined in order: fewer where events are missing."""
    row = connection.execute("SELECT proof.leaf_hashes(%s, %s, %s)", (log_number, after, upto), binary=True).fetchone()
    assert row is not None, "a function returns a row"
    hashes: bytes = row[0]
    assert len(hashes) % HASH_BYTES == 0, "it is made of hashes"
    return hashes


def grow(connection: Connection[Any], log_number: int, after: int, upto: int, grown: Sequence[Grown]) -> bool:
    """Add hashes to tiles. False if the tree does not have the size `after`: another sealer was there first."""
    levels, numbers, hashes = zip(*grown, strict=True)
    row = connection.execute(
        "SELECT proof.grow(%s, %s, %s, %s, %s, %s)",
        (log_number, after, upto, int2_array(levels), int8_array(numbers), bytea_array(hashes)),
    ).fetchone()
    assert row is not None, "a function returns a row"
    return bool(row[0])


def keep_key(connection: Connection[Any], log_number: int, verifier: str, since: datetime) -> int:
    """Note that a key signs from now on, unless it is known. Returns its number."""
    row = connection.execute("SELECT proof.keep_key(%s, %s, %s)", (log_number, verifier, since)).fetchone()
    assert row is not None, "a function returns a row"
    return int(row[0])


def keep_checkpoint(
    connection: Connection[Any], log_number: int, checkpoint: StoredCheckpoint, heads: Heads | None = None
) -> bool:
    """Keep a checkpoint. False if there is one of this size or of a larger one.

    `heads` are what its extension line has; with them it is also False if heads of a later size are stored by now.
    """
    row = connection.execute(
        "SELECT proof.keep_checkpoint(%s, %s, %s, %s, %s, %s)",
        (
            log_number,
            checkpoint.size,
            checkpoint.root,
            checkpoint.note,
            checkpoint.signed_at,
            None if heads is None else heads.root,
        ),
    ).fetchone()
    assert row is not None, "a function returns a row"
    return bool(row[0])


def changed_heads(connection: Connection[Any], log_number: int, after: int, upto: int) -> bytes:
    """The heads of the streams that have events after a position up to another, joined in ascending order."""
    row = connection.execute(
        "SELECT proof.changed_heads(%s, %s, %s)", (log_number, after, upto), binary=True
    ).fetchone()
    assert row is not None, "a function returns a row"
    heads: bytes = row[0]
    return heads


def read_buckets(connection: Connection[Any], log_number: int, buckets: Sequence[int], size: int) -> list[bytes]:
    """The heads of buckets as they are after a position, joined; none for a bucket without streams.

    `size` is that of `last_heads` or `Tree.heads`: of others nothing is kept.
    """
    rows = connection.execute(_BUCKETS, (int4_array(buckets), log_number, size), binary=True)
    return [heads or b"" for (heads,) in rows]


def read_head_tiles(connection: Connection[Any], log_number: int, tiles: Sequence[Tile], size: int) -> list[bytes]:
    """The tiles over the buckets, likewise; no hashes for a tile whose buckets have no streams."""
    levels, numbers = int2_array([tile.level for tile in tiles]), int2_array([tile.number for tile in tiles])
    rows = connection.execute(_HEAD_TILES, (levels, numbers, log_number, size), binary=True)
    return [hashes or b"" for (hashes,) in rows]


def keep_heads(
    connection: Connection[Any],
    log_number: int,
    after: int,
    upto: int,
    buckets: Mapping[int, bytes],
    tiles: Mapping[Tile, bytes],
) -> bool:
    """Store changed buckets, and the tiles of level 0 over them, as they are after the position `upto`.

    False if the stored heads are no longer those after the position `after`: another sealer was there first.
    """
    row = connection.execute(
        "SELECT proof.keep_heads(%s, %s, %s, %s, %s, %s, %s)",
        (
            log_number,
            after,
            upto,
            int4_array(list(buckets)),
            bytea_array(list(buckets.values())),
            int2_array([tile.number for tile in tiles]),
            bytea_array(list(tiles.values())),
        ),
    ).fetchone()
    assert row is not None, "a function returns a row"
    return bool(row[0])


def reach_heads(connection: Connection[Any], log_number: int, after: int, upto: int, added: int, top: bytes) -> bool:
    """Note that all heads are stored as they are after the position `upto`, where `added` streams more are.

    `top` is the tile over all others. False if another sealer was there first.
    """
    row = connection.execute(
        "SELECT proof.reach_heads(%s, %s, %s, %s, %s)", (log_number, after, upto, added, top)
    ).fetchone()
    assert row is not None, "a function returns a row"
    return bool(row[0])


# What an owner does


class OriginError(RuntimeError):
    """The tree cannot be named so. The message is one sentence, and says what to do."""


def rename_tree(connection: Connection[Any], log_number: int, origin: str) -> None:
    """Let the tree of a log go on under another origin, which none of its keys has had. Raises `OriginError`.

    Tiles, keys and checkpoints stay as they are: each key has the name of the origin that it signed for, and the size
    from which on it did.
    """
    try:
        check_name(origin)
    except NoteError as error:
        raise OriginError(f"the log cannot be named {origin!r} in checkpoints: {error}") from None
    names = {key.verifier.partition("+")[0] for key in read_keys(connection, log_number)}
    tree = read_tree(connection, log_number)
    if origin in names or (tree is not None and tree.origin == origin):
        raise OriginError(f"checkpoints of {origin!r} were signed already: give a name that was never used")
    connection.execute("UPDATE proof.trees SET origin = %s WHERE log = %s", (origin, log_number))
