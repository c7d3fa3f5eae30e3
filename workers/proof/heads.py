"""The heads of streams, brought up to the size of a checkpoint in windows.

A window reads the heads that changed and merges them into their buckets, one part of the buckets after another, so that
memory is bounded. No transaction is longer than a statement: what is stored for a later position is true whether or not
the heads get there, and the position moves at the end of a window. A checkpoint takes the root only if the stored heads
are exactly those of its size. So a sealer that was interrupted or overtaken does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, Final

from psycopg import Connection

from eventstore.proof.heads import (
    HEAD_BYTES,
    TOP,
    Heads,
    bucket_of,
    bucket_root,
    merge_heads,
    root_of_top,
    set_roots,
    set_tiles,
    split_heads,
    tile_of,
)
from eventstore.proof.store import (
    changed_heads,
    keep_heads,
    reach_heads,
    read_buckets,
    read_head_tiles,
    read_tree,
)
from eventstore.proof.tiles import Tile

HEADS_WINDOW: Final = 250_000
"""Positions whose streams are brought up to date by one step: two seconds where each is of another stream."""
FEW: Final = 1_000
"""Events whose heads cost so little that every checkpoint commits to them: a tenth of a second with a million streams.

So the last events of a log that falls silent have heads, unless more came at once.
"""
PART: Final = 16
"""Tiles whose buckets are in memory at once: a sixteenth of all heads."""


def bring_heads(
    connection: Connection[Any], log_number: int, size: int, window: int, goes_on: Callable[[], bool]
) -> Heads | None:
    """The heads at a size that is sealed.

    None where `goes_on` says no before they are there, and the next call goes on from there, or where another sealer
    went further. Raises `ProofError` where a stream would not have grown.
    """
    while True:
        tree = read_tree(connection, log_number)
        assert tree is not None, "it was begun"
        if tree.heads >= size:
            break
        _bring(connection, log_number, tree.heads, min(size, tree.heads + window))
        if not goes_on():
            return None
    if tree.heads > size:
        return None
    [top] = read_head_tiles(connection, log_number, [TOP], size)
    return Heads(tree.streams, root_of_top(top))


def _bring(connection: Connection[Any], log_number: int, after: int, upto: int) -> None:
    """Store the heads after a later position, unless another sealer was there first."""
    added, tiles = 0, dict[Tile, bytes]()
    changed = split_heads(changed_heads(connection, log_number, after, upto))
    for _, part in groupby(changed, lambda head: tile_of(bucket_of(head)).number // PART):
        by_bucket = {bucket: list(heads) for bucket, heads in groupby(part, bucket_of)}
        before = read_buckets(connection, log_number, list(by_bucket), after)
        merged = {
            bucket: merge_heads(heads, grown) for (bucket, grown), heads in zip(by_bucket.items(), before, strict=True)
        }
        changed_tiles = _tiles(connection, log_number, after, merged)
        if not keep_heads(connection, log_number, after, upto, merged, changed_tiles):
            return
        added += (sum(map(len, merged.values())) - sum(map(len, before))) // HEAD_BYTES
        tiles |= changed_tiles
    [top] = read_head_tiles(connection, log_number, [TOP], after)
    reach_heads(connection, log_number, after, upto, added, set_tiles(top, tiles))


def _tiles(connection: Connection[Any], log_number: int, after: int, merged: Mapping[int, bytes]) -> dict[Tile, bytes]:
    """The tiles over changed buckets."""
    roots = {bucket: bucket_root(heads) for bucket, heads in merged.items()}
    by_tile = {tile: list(buckets) for tile, buckets in groupby(roots, tile_of)}
    before = read_head_tiles(connection, log_number, list(by_tile), after)
    return {
        tile: set_roots(tile, hashes, {bucket: roots[bucket] for bucket in buckets})
        for (tile, buckets), hashes in zip(by_tile.items(), before, strict=True)
    }
