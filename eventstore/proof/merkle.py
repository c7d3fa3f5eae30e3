"""The Merkle tree of RFC 6962 and RFC 9162 over SHA-256: roots, inclusion proofs and consistency proofs.

A tree of any size consists of complete subtrees. Their hashes never change, so everything is computed from them. The
hash of a complete subtree is found by its `Node`: `Node(0, n)` is the hash of leaf `n`, and `Node(h, n)` covers
`2**h` leaves from `n * 2**h` on. Each function plans which nodes it needs and asks for them in one call.

Leaves are counted from 0. The hash of a leaf is `eventstore.log.leaf.leaf_hash`. A hash has 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
MOST_LEAVES: Final = 2**63 - 1
"""Most leaves of a tree: a position of the log is a `bigint`."""
MOST_HASHES: Final = 64
"""Most hashes of an inclusion proof: one for each level. A consistency proof has one more."""
EMPTY_ROOT: Final = hashlib.sha256().digest()
"""The root of the tree without leaves."""


class ProofError(ValueError):
    """A proof does not prove what it should, or there can be none. The message is one sentence."""


class Node(NamedTuple):
    """A complete subtree of `2**height` leaves, the `number`-th of this height."""

    height: int
    number: int


ReadNodes = Callable[[Sequence[Node]], Sequence[bytes]]
"""Returns the hashes of nodes, in the order of the nodes."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_nodes(first: int, after: int) -> Iterator[Node]:
    """The fewest complete subtrees with the leaves from `first` up to `after`, from left to right."""
    while first < after:
        height = (after - first).bit_length() - 1
        if first:
            height = min(height, (first & -first).bit_length() - 1)
        yield Node(height, first >> height)
        first += 1 << height


def root_of_nodes(hashes: Sequence[bytes]) -> bytes:
    """The root over the complete subtrees of a tree, from left to right."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root(size: int, read: ReadNodes) -> bytes:
    """The root of the tree over the first `size` leaves."""
    _check_size(size)
    return root_of_nodes(read(list(complete_nodes(0, size))) if size else ())


def inclusion_proof(index: int, size: int, read: ReadNodes) -> list[bytes]:
    """The proof that a leaf is in the tree of the first `size` leaves, from the leaf up (RFC 9162, 2.1.3.1)."""
    _check_leaf(index, size)
    return _hashes_of(_siblings(index, size), read)


def inclusion_proofs(indexes: Sequence[int], size: int, read: ReadNodes) -> list[list[bytes]]:
    """The proofs of several leaves in the same tree, in their order. What they share is read once."""
    for index in indexes:
        _check_leaf(index, size)
    paths = [_siblings(index, size) for index in indexes]
    wanted = list(dict.fromkeys(leaves for path in paths for leaves in path))
    roots = dict(zip(wanted, _hashes_of(wanted, read), strict=True))
    return [[roots[leaves] for leaves in path] for path in paths]


def consistency_proof(old: int, new: int, read: ReadNodes) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 9162, 2.1.4.1)."""
    _check_sizes(old, new)
    return _hashes_of(_consistency_ranges(old, new), read)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raise `ProofError` unless the leaf with this hash is the `index`-th of the tree with this size and root.

    RFC 9162, 2.1.3.2.
    """
    _check_hashes([root])
    if root_of_inclusion(index, size, leaf, proof) != root:
        raise ProofError(
            f"the inclusion proof does not lead from leaf {index} to the root of {size} leaves: it is for another "
            "leaf, another place or another tree"
        )


def root_of_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to from a leaf. Raises `ProofError` for a proof of another length."""
    _check_leaf(index, size)
    _check_hashes([leaf, *proof])
    at, last, computed = index, size - 1, leaf
    for hash in proof:
        if not last:
            raise ProofError(f"the inclusion proof of leaf {index} has more hashes than a tree of {size} leaves needs")
        if at & 1 or at == last:
            computed = node_hash(hash, computed)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, hash)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError(f"the inclusion proof of leaf {index} has fewer hashes than a tree of {size} leaves needs")
    return computed


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise `ProofError` unless the tree of `old` leaves and `old_root` is the beginning of the new one.

    RFC 9162, 2.1.4.2. A tree without leaves is the beginning of every tree.
    """
    _check_sizes(old, new)
    _check_hashes([old_root, new_root, *proof])
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofError("the root of no leaves is not that of the empty tree")
    if old in (0, new):
        if proof:
            raise ProofError(f"a proof between the sizes {old} and {new} has no hashes, and this one has {len(proof)}")
        if old == new and old_root != new_root:
            raise ProofError(f"there are two roots for the same {new} leaves: the history was forked or changed")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise ProofError(f"the consistency proof from {old} to {new} leaves is empty")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    of_old = of_new = path[0]
    for hash in path[1:]:
        if not last:
            raise ProofError(f"the consistency proof from {old} to {new} leaves has too many hashes")
        if at & 1 or at == last:
            of_old, of_new = node_hash(hash, of_old), node_hash(hash, of_new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            of_new = node_hash(of_new, hash)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError(f"the consistency proof from {old} to {new} leaves has too few hashes")
    if of_old != old_root:
        raise ProofError(f"the consistency proof does not lead to the root of the older tree, of {old} leaves")
    if of_new != new_root:
        raise ProofError(
            f"the tree of {old} leaves is not the beginning of that of {new} leaves: the history was forked or changed"
        )


_Leaves = tuple[int, int]  # the first, and the one after the last


def _split(first: int, after: int) -> int:
    """Where the tree over these leaves is split: after the largest power of two that is smaller than their number."""
    return first + (1 << (after - first - 1).bit_length() - 1)


def _siblings(index: int, size: int) -> list[_Leaves]:
    """The subtrees beside the path from a leaf to the root, from the leaf up."""
    siblings, first, after = [], 0, size
    while after - first > 1:
        middle = _split(first, after)
        if index < middle:
            siblings.append((middle, after))
            after = middle
        else:
            siblings.append((first, middle))
            first = middle
    return siblings[::-1]


def _consistency_ranges(old: int, new: int) -> list[_Leaves]:
    """The subtrees of a consistency proof, from the border of the old tree up."""
    if old in (0, new):
        return []
    ranges, first, after = [], 0, new
    while old != after:
        middle = _split(first, after)
        if old <= middle:
            ranges.append((middle, after))
            after = middle
        else:
            ranges.append((first, middle))
            first = middle
    if first:
        ranges.append((first, after))
    return ranges[::-1]


def _hashes_of(ranges: Sequence[_Leaves], read: ReadNodes) -> list[bytes]:
    """The root of each range of leaves. All nodes are read in one call."""
    parts = [list(complete_nodes(*leaves)) for leaves in ranges]
    if not parts:
        return []
    hashes = iter(read([node for nodes in parts for node in nodes]))
    return [root_of_nodes([next(hashes) for _ in nodes]) for nodes in parts]


def _check_size(size: int) -> None:
    if not 0 <= size <= MOST_LEAVES:
        raise ProofError(f"a tree has from 0 to {MOST_LEAVES} leaves, not {size}")


def _check_leaf(index: int, size: int) -> None:
    _check_size(size)
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}: they are counted from 0")


def _check_sizes(old: int, new: int) -> None:
    _check_size(old)
    _check_size(new)
    if old > new:
        raise ProofError(f"a tree of {old} leaves cannot be the beginning of one of {new}")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MOST_HASHES + 3:
        raise ProofError(f"a proof has at most {MOST_HASHES + 1} hashes")
    if any(len(hash) != HASH_BYTES for hash in hashes):
        raise ProofError(f"a hash has {HASH_BYTES} bytes")
