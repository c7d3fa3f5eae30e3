"""Checks that the heads of streams that the last commitment has are those of the log.

The heads are computed from the log and compared with what is stored bucket by bucket, in the order of buckets, so that
a page is in memory. The tiles over the buckets and the root are computed from those of the log. What a sealer has
stored for the next commitment is not looked at.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import Connection

from eventstore.proof.heads import (
    EMPTY_TILES,
    HEAD_BYTES,
    TOP,
    bucket_root,
    root_of_top,
    set_roots,
    set_tiles,
    tile_of,
)
from eventstore.proof.store import last_heads, read_tree
from eventstore.proof.tiles import WIDTH, Tile
from workers.verify.report import Check, Tally

HEADS: Final = "heads of streams are those of the log"
PAGE: Final = 256
"""Buckets that are read at once."""
RESTORE: Final = "restore the schema proof from a dump"

_BUCKETS = """
SELECT coalesce(o.bucket, k.bucket), o.heads, k.heads
  FROM (SELECT get_byte(head, 0) * 256 + get_byte(head, 1) AS bucket, string_agg(head, ''::bytea ORDER BY head) AS heads
          FROM (SELECT sha256(convert_to(stream, 'UTF8')) || int8send(max(version)) || int8send(max(position)) AS head
                  FROM log.events WHERE log = %(log)s AND position <= %(size)s GROUP BY stream) s
         GROUP BY 1) o
  FULL JOIN (SELECT DISTINCT ON (bucket) bucket, heads FROM proof.heads
              WHERE log = %(log)s AND size <= %(size)s ORDER BY bucket, size DESC) k ON k.bucket = o.bucket
 ORDER BY 1
"""
_TILES = """
SELECT DISTINCT ON (level, number) level, number, hashes FROM proof.head_tiles
 WHERE log = %(log)s AND size <= %(size)s ORDER BY level, number, size DESC
"""
_STREAMS = "SELECT count(DISTINCT stream) FROM log.events WHERE log = %(log)s AND position <= %(size)s"


def check_heads(connection: Connection[Any], log_number: int) -> Check:
    """Compare the heads, and compute the tiles over them and the root. Without a commitment there is nothing to check.

    The connection is in a transaction.
    """
    tally = Tally(HEADS)
    tree, committed = read_tree(connection, log_number), last_heads(connection, log_number)
    if tree is None or committed is None:
        return tally.check("streams", 0)
    asked = {"log": log_number, "size": committed.size}
    if tree.heads < committed.size:
        tally.find(None, f"the heads are stored up to position {tree.heads}, before what was signed; {RESTORE}")
    elif (streams := _streams(connection, log_number, tree.heads)) != tree.streams:
        tally.find(None, f"the log has {streams} streams at {tree.heads}, and the tree says {tree.streams}; {RESTORE}")
    tiles = _tiles(connection, asked, tally)
    kept = {Tile(level, number): hashes for level, number, hashes in connection.execute(_TILES, asked)}
    for tile in (*(Tile(0, number) for number in range(WIDTH)), TOP):
        if kept.get(tile, EMPTY_TILES[tile.level]) != tiles.get(tile, EMPTY_TILES[tile.level]):
            tally.find(None, f"tile {tile.number} of level {tile.level} over the buckets has other hashes; {RESTORE}")
    if (root_of_top(tiles[TOP]), tally.covered) != (committed.root, committed.streams):
        tally.find(committed.size, "the checkpoint of this size has another root of heads, or number of streams")
    return tally.check("streams", _streams(connection, log_number, committed.size))


def _tiles(connection: Connection[Any], asked: dict[str, int], tally: Tally) -> dict[Tile, bytes]:
    """Compare the buckets, and return the tiles over those of the log."""
    tiles: dict[Tile, bytes] = {}
    with connection.cursor("heads", binary=True) as rows:
        rows.itersize = PAGE
        for bucket, heads, kept in rows.execute(_BUCKETS, asked):
            if heads != kept:
                tally.find(None, f"bucket {bucket} has other heads than the streams of the log; {RESTORE}")
            if heads is None:
                continue
            tally.covered += len(heads) // HEAD_BYTES
            tile = tile_of(bucket)
            tiles[tile] = set_roots(tile, tiles.get(tile, b""), {bucket: bucket_root(heads)})
    return tiles | {TOP: set_tiles(b"", tiles)}


def _streams(connection: Connection[Any], log_number: int, size: int) -> int:
    row = connection.execute(_STREAMS, {"log": log_number, "size": size}).fetchone()
    assert row is not None, "an aggregate has a row"
    return int(row[0])
