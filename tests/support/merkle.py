"""The Merkle tree of RFC 6962 as the RFC defines it, however slow: what ours is compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from eventstore.log.leaf import leaf_hash
from eventstore.proof.merkle import Node, ReadNodes


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:])).digest()


def naive_path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1, word for word."""
    if len(hashes) == 1:
        return []
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if index < split:
        return [*naive_path(index, hashes[:split]), naive_root(hashes[split:])]
    return [*naive_path(index - split, hashes[split:]), naive_root(hashes[:split])]


def naive_proof(old: int, hashes: Sequence[bytes], known: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2, word for word."""
    if old == len(hashes):
        return [] if known else [naive_root(hashes)]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if old <= split:
        return [*naive_proof(old, hashes[:split], known), naive_root(hashes[split:])]
    return [*naive_proof(old - split, hashes[split:], False), naive_root(hashes[:split])]


def reader(hashes: Sequence[bytes]) -> ReadNodes:
    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [naive_root(hashes[n << h : n + 1 << h]) for h, n in nodes]

    return read


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]
