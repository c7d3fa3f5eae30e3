"""The heads of streams, brought up to the size of a checkpoint in windows.

A window reads the heads that changed, merges them into their buckets, and stores buckets and tiles by one statement,
which compares how far the stored heads were. Nothing is locked in between. A checkpoint takes the root only if the
stored heads are exactly those of its size, so a sealer that was interrupted or overtaken does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

from psycopg import Connection

from eventstore.proof.heads import (
    TOP,
    Heads,
    bucket_of,
    bucket_root,
    merge_heads,
    root_of_top,
    set_roots,
    split_heads,
    tiles_of_buckets,
)
from eventstore.proof.store import changed_heads, keep_heads, read_buckets, read_head_tiles, read_tree

HEADS_WINDOW: Final = 250_000
"""Positions whose streams are brought up to date by one step: two seconds where each is of another stream."""


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
    changed = split_heads(changed_heads(connection, log_number, after, upto))
    by_bucket = {bucket: list(heads) for bucket, heads in groupby(changed, bucket_of)}
    stored = read_buckets(connection, log_number, list(by_bucket), after)
    merged = {
        bucket: merge_heads(before, heads) for (bucket, heads), before in zip(by_bucket.items(), stored, strict=True)
    }
    tiles = tiles_of_buckets(merged)
    before = dict(zip(tiles, read_head_tiles(connection, log_number, tiles, after), strict=True))
    after_it = set_roots(before, {bucket: bucket_root(heads) for bucket, heads in merged.items()})
    keep_heads(connection, log_number, after, upto, merged, after_it)
