"""The Merkle tree: the vectors of certificate transparency, a naive implementation, and proofs that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.log.leaf import leaf_hash
from eventstore.proof.merkle import (
    EMPTY_ROOT,
    MOST_LEAVES,
    Node,
    ProofError,
    complete_nodes,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tests.support.merkle import hashes_of, naive_path, naive_proof, naive_root, reader

# Leaves, roots and proofs of certificate-transparency-go, merkletree/merkle_tree_test.go, which are those of RFC 6962.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def in_hex(hashes: Sequence[bytes]) -> list[str]:
    return [hash.hex() for hash in hashes]


def test_the_roots_of_the_well_known_tree() -> None:
    read = reader([leaf_hash(leaf) for leaf in LEAVES])
    assert [root(size, read).hex() for size in range(1, 9)] == ROOTS
    assert root(0, read) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_inclusion_proofs_of_the_well_known_tree(index: int, size: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    proof = inclusion_proof(index, size, reader(hashes))
    assert in_hex(proof) == INCLUSION[index, size]
    verify_inclusion(index, size, hashes[index], proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_consistency_proofs_of_the_well_known_tree(old: int, new: int) -> None:
    proof = consistency_proof(old, new, reader([leaf_hash(leaf) for leaf in LEAVES]))
    assert in_hex(proof) == CONSISTENCY[old, new]
    verify_consistency(old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), proof)


def test_every_proof_of_small_trees_is_that_of_the_naive_implementation() -> None:
    for new in range(1, 40):
        hashes = hashes_of(new)
        read, top = reader(hashes), naive_root(hashes)
        assert root(new, read) == top
        for index in range(new):
            proof = inclusion_proof(index, new, read)
            assert proof == naive_path(index, hashes)
            verify_inclusion(index, new, hashes[index], proof, top)
        for old in range(new + 1):
            between = consistency_proof(old, new, read)
            assert between == ([] if old == 0 else naive_proof(old, hashes))
            verify_consistency(old, new, naive_root(hashes[:old]), top, between)


@given(st.integers(1, 300), st.data())
def test_a_changed_proof_is_refused(size: int, data: st.DataObject) -> None:
    hashes = hashes_of(size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    top, of_old = naive_root(hashes), naive_root(hashes[:old])
    inclusion, consistency = inclusion_proof(index, size, reader(hashes)), consistency_proof(old, size, reader(hashes))
    other = leaf_hash(b"other")
    with pytest.raises(ProofError, match="another leaf"):
        verify_inclusion(index, size, other, inclusion, top)
    with pytest.raises(ProofError):
        verify_inclusion(index, size, hashes[index], inclusion, other)
    with pytest.raises(ProofError, match=r"more hashes|does not lead"):
        verify_inclusion(index, size, hashes[index], [*inclusion, other], top)
    with pytest.raises(ProofError):
        verify_consistency(old, size, other, top, consistency)
    with pytest.raises(ProofError):
        verify_consistency(old, size, of_old, other, consistency)
    with pytest.raises(ProofError):
        verify_consistency(old, size, of_old, top, [*consistency, other])
    for number in range(len(inclusion)):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, hashes[index], _with(inclusion, number, other), top)
    for number in range(len(consistency)):
        with pytest.raises(ProofError):
            verify_consistency(old, size, of_old, top, _with(consistency, number, other))
    if inclusion:
        with pytest.raises(ProofError, match="fewer hashes"):
            verify_inclusion(index, size, hashes[index], inclusion[:-1], top)
    if consistency:
        with pytest.raises(ProofError, match=r"too few hashes|is empty"):
            verify_consistency(old, size, of_old, top, consistency[:-1])


@given(st.integers(2, 300), st.data())
def test_a_proof_is_for_one_place_and_one_size(size: int, data: st.DataObject) -> None:
    hashes = hashes_of(size)
    index = data.draw(st.integers(0, size - 1))
    elsewhere = data.draw(st.integers(0, size - 1).filter(lambda other: other != index))
    proof = inclusion_proof(index, size, reader(hashes))
    with pytest.raises(ProofError):
        verify_inclusion(elsewhere, size, hashes[index], proof, naive_root(hashes))


def _with(proof: list[bytes], number: int, hash: bytes) -> list[bytes]:
    return [*proof[:number], hash, *proof[number + 1 :]]


@given(st.integers(0, MOST_LEAVES), st.integers(0, MOST_LEAVES))
def test_complete_subtrees_cover_a_range_without_gaps(one: int, other: int) -> None:
    first, after = sorted((one, other))
    nodes = list(complete_nodes(first, after))
    ends = [(node.number << node.height, node.number + 1 << node.height) for node in nodes]
    assert len(nodes) <= 2 * 63
    assert all(end == begin for (_, end), (begin, _) in pairwise(ends))
    assert (ends[0][0], ends[-1][1]) == (first, after) if ends else first == after


def test_two_heads_of_one_size_must_be_equal() -> None:
    one, other = leaf_hash(b"1"), leaf_hash(b"2")
    verify_consistency(1, 1, one, one, [])
    with pytest.raises(ProofError, match="two roots for the same 1 leaves"):
        verify_consistency(1, 1, one, other, [])
    with pytest.raises(ProofError, match="has no hashes, and this one has 1"):
        verify_consistency(1, 1, one, one, [other])
    with pytest.raises(ProofError, match="that of the empty tree"):
        verify_consistency(0, 1, one, one, [])


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (lambda read: inclusion_proof(3, 3, read), "has no leaf 3: they are counted from 0"),
        (lambda read: inclusion_proof(-1, 3, read), "has no leaf -1"),
        (lambda read: inclusion_proof(0, 2**63, read), "has from 0 to 9223372036854775807 leaves"),
        (lambda read: root(-1, read), "has from 0 to 9223372036854775807 leaves, not -1"),
        (lambda read: consistency_proof(4, 3, read), "of 4 leaves cannot be the beginning of one of 3"),
        (lambda read: verify_inclusion(0, 1, b"short", [], b"short"), "a hash has 32 bytes"),
        (lambda read: verify_inclusion(0, 1, EMPTY_ROOT, [EMPTY_ROOT] * 70, EMPTY_ROOT), "has at most 65 hashes"),
    ],
)
def test_what_cannot_be_is_a_sentence(attempt: object, sentence: str) -> None:
    with pytest.raises(ProofError, match=sentence):
        attempt(reader(hashes_of(3)))  # type: ignore[operator]


def test_a_node_is_not_a_leaf() -> None:
    left, right = leaf_hash(b"1"), leaf_hash(b"2")
    assert node_hash(left, right) != leaf_hash(left + right)


@given(st.integers(1, 300), st.data())
def test_proofs_of_many_leaves_are_those_of_each(size: int, data: st.DataObject) -> None:
    hashes = hashes_of(size)
    indexes = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
    asked: list[Node] = []

    def read(nodes: Sequence[Node]) -> Sequence[bytes]:
        asked.extend(nodes)
        return reader(hashes)(nodes)

    assert inclusion_proofs(indexes, size, read) == [naive_path(index, hashes) for index in indexes]
    assert len(asked) <= len(set(indexes)) * 2 * size.bit_length()
    with pytest.raises(ProofError, match=f"has no leaf {size}"):
        inclusion_proofs([0, size], size, read)
