"""The heads of streams: the format of docs/bundle.md, computed naively too, its vectors, and proofs that are wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.log.leaf import leaf_hash
from eventstore.proof.checkpoints import Checkpoint
from eventstore.proof.heads import (
    BUCKETS,
    EMPTY_TILES,
    TOP,
    Head,
    HeadProof,
    Heads,
    bucket_of,
    bucket_root,
    heads_by_bucket,
    heads_of,
    key_of,
    line_of,
    merge_heads,
    parse_line,
    prove_head,
    root_of_buckets,
    root_of_top,
    set_roots,
    set_tiles,
    tile_of,
    tiles_over,
    verify_head,
)
from eventstore.proof.merkle import EMPTY_ROOT, ProofError
from eventstore.proof.notes import NoteError
from eventstore.proof.tiles import Tile
from tests.support.merkle import naive_path, naive_root

Streams = dict[str, tuple[int, int]]

# Three streams. Computed apart from the code by the text of docs/bundle.md.
VECTOR: Streams = {"acct_1": (3, 9), "acct_2": (1, 2), "ord_1": (2, 10)}
VECTOR_ROOT = "040f303757aea837e0b395747befd6bfe02a4253c2b69eac386690e5b0ed18c0"
EMPTY = "90f0951505390e5d3756748a16b2845d2a14085069cc46ffbdd34a8661f1f5d5"

streams = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text and text.isprintable()),
    st.tuples(st.integers(1, 2**40), st.integers(0, 2**40)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    max_size=40,
)


def heads_in(streams: Streams) -> list[Head]:
    return [Head(key_of(name), *head) for name, head in streams.items()]


def naive_leaves(streams: Streams) -> list[list[bytes]]:
    """The leaf hashes of each bucket, word for word as docs/bundle.md has them."""
    buckets: list[list[bytes]] = [[] for _ in range(65_536)]
    for name, (version, position) in streams.items():
        key = hashlib.sha256(name.encode()).digest()
        buckets[key[0] * 256 + key[1]].append(key + version.to_bytes(8, "big") + position.to_bytes(8, "big"))
    return [[hashlib.sha256(b"\0" + head).digest() for head in sorted(bucket)] for bucket in buckets]


def naive_top(streams: Streams) -> list[bytes]:
    return [hashlib.sha256(b"\0" + naive_root(leaves)).digest() for leaves in naive_leaves(streams)]


def proof_of(streams: Streams, name: str) -> HeadProof | None:
    """The proof as a store makes it: from the heads of one bucket and two tiles."""
    buckets = heads_by_bucket(heads_in(streams))
    tiles = tiles_over(buckets)

    def read(wanted: Sequence[Tile]) -> list[bytes]:
        assert len(wanted) == 2
        return [tiles.get(tile, b"") for tile in wanted]

    return prove_head(name, buckets.get(bucket_of(key_of(name)), b""), read)


def test_the_vectors() -> None:
    assert root_of_buckets({}).hex() == EMPTY
    assert root_of_buckets(heads_by_bucket(heads_in(VECTOR))).hex() == VECTOR_ROOT
    head = Head(key_of("acct_1"), 3, 9)
    assert head.packed.hex() == (
        "47809e466c8e12225ba86e64d2ba21402e1164d2d66f4e4c7a680aa8ab771aab00000000000000030000000000000009"
    )
    assert bucket_of(head.key) == bucket_of(head.packed) == 18304
    assert bucket_root(head.packed).hex() == "1ed12fca9bba9d0f24afe1af575034ea1136b2a2d6acf40debec508f2108daad"
    assert bucket_root(b"") == EMPTY_ROOT


@given(streams)
@settings(max_examples=10)  # a naive root over 65,536 buckets takes a tenth of a second
def test_root_and_proofs_are_those_of_the_naive_computation(streams: Streams) -> None:
    top = naive_top(streams)
    root = root_of_buckets(heads_by_bucket(heads_in(streams)))
    assert root == naive_root(top)
    leaves = naive_leaves(streams)
    for name, (version, position) in list(streams.items())[:3]:
        proof = proof_of(streams, name)
        assert proof is not None
        key = key_of(name)
        inside = leaves[bucket_of(key)]
        hash = leaf_hash(Head(key, version, position).packed)
        assert (proof.version, proof.position) == (version, position)
        assert (proof.index, proof.streams) == (inside.index(hash), len(inside))
        assert proof.bucket == naive_path(proof.index, inside)
        assert proof.top == naive_path(bucket_of(key), top)
        verify_head(proof, root)


@given(st.integers(1, 40), st.data())
def test_a_bucket_with_many_streams(size: int, data: st.DataObject) -> None:
    """Names do not fill one bucket within a test, so the keys are made."""
    index = data.draw(st.integers(0, size - 1))
    heads = b"".join(Head(number.to_bytes(32, "big"), 1, number + 1).packed for number in range(size))
    leaves = [leaf_hash(heads[at : at + 48]) for at in range(0, len(heads), 48)]
    assert bucket_root(heads) == naive_root(leaves)
    assert merge_heads(heads, []) == heads
    without = heads[: 48 * index] + heads[48 * index + 48 :]
    assert merge_heads(without, [heads[48 * index : 48 * index + 48]]) == heads


@given(streams, streams)
def test_tiles_that_change_in_steps_have_the_root_of_all_at_once(first: Streams, then: Streams) -> None:
    top: dict[Tile, bytes] = {}
    buckets: dict[int, bytes] = {}
    merged: Streams = dict(first)
    grown = {name: (merged.get(name, (0, 0))[0] + head[0], 2**41 + head[1]) for name, head in then.items()}
    for step in (first, grown):
        changed = heads_by_bucket(heads_in(step))
        for bucket, heads in changed.items():
            split = [heads[at : at + 48] for at in range(0, len(heads), 48)]
            buckets[bucket] = merge_heads(buckets.get(bucket, b""), split)
        tiles = {}
        for tile, inside in groupby(sorted(changed), tile_of):
            roots = {bucket: bucket_root(buckets[bucket]) for bucket in inside}
            tiles[tile] = set_roots(tile, top.get(tile, b""), roots)
        top |= {**tiles, TOP: set_tiles(top.get(TOP, b""), tiles)}
    merged |= grown
    assert buckets == heads_by_bucket(heads_in(merged))
    assert top == tiles_over(buckets)
    assert root_of_top(top[TOP]) == root_of_buckets(buckets)


def test_a_stream_without_events_has_no_proof() -> None:
    assert proof_of(VECTOR, "acct_3") is None
    assert proof_of({}, "acct_1") is None


def test_every_changed_member_of_a_proof_is_noticed() -> None:
    many: Streams = {f"s{number}": (number + 1, 1_000 + number) for number in range(100_000)}
    name = next(name for name in many if many and bucket_of(key_of(name)) == bucket_of(key_of("s0")) and name != "s0")
    proof = proof_of(many, name)
    assert proof is not None
    root = root_of_buckets(heads_by_bucket(heads_in(many)))
    verify_head(proof, root)
    assert proof.streams > 1
    other = leaf_hash(b"other")
    for wrong in (
        replace(proof, stream="s0"),
        replace(proof, version=proof.version - 1),
        replace(proof, version=proof.version + 1),
        replace(proof, position=proof.position + 1),
        replace(proof, index=(proof.index + 1) % proof.streams),
        replace(proof, index=-1),
        replace(proof, index=proof.streams),
        replace(proof, streams=0),
        replace(proof, streams=2 * proof.streams + 1),
        replace(proof, bucket=[other, *proof.bucket[1:]]),
        replace(proof, bucket=proof.bucket[:-1]),
        replace(proof, bucket=[*proof.bucket, other]),
        replace(proof, bucket=[b"", *proof.bucket[1:]]),
        replace(proof, top=[*proof.top[:-1], other]),
        replace(proof, top=proof.top[:-1]),
        replace(proof, top=[*proof.top, other]),
    ):
        with pytest.raises(ProofError, match="is not proven"):
            verify_head(wrong, root)
    with pytest.raises(ProofError, match="is not proven"):
        verify_head(proof, other)
    for version, position in ((0, 5), (6, 5), (1, 2**63)):
        with pytest.raises(ProofError, match=f"cannot have {version} events with the last one at {position}"):
            verify_head(replace(proof, version=version, position=position), root)


# The extension line


def test_the_line_of_a_checkpoint() -> None:
    heads = Heads(3, bytes.fromhex(VECTOR_ROOT))
    line = line_of(heads)
    assert line == "daybook.heads.v1 3 BA8wN1euqDfgs5V0e+/Wv+AqQlPCtp6sOGaQ5bDtGMA="
    assert parse_line(line) == heads
    head = Checkpoint("log.example/main", 10, leaf_hash(b"root"), ("other 1", line, "daybook.heads.v10 x"))
    assert heads_of(head) == heads
    assert heads_of(replace(head, extensions=("other 1",))) is None
    with pytest.raises(NoteError, match=r"one line daybook.heads.v1 at most, and this one has 2"):
        heads_of(replace(head, extensions=(line, line)))
    with pytest.raises(NoteError, match=r"a number and a root"):
        heads_of(replace(head, extensions=("daybook.heads.v1",)))


ROOT = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "are a line of"),
        (f"daybook.heads.v2 1 {ROOT}", "are a line of"),
        (f"daybook.heads.v1  1 {ROOT}", "are a line of"),
        (f"daybook.heads.v1 01 {ROOT}", "are a line of"),
        (f"daybook.heads.v1 -1 {ROOT}", "are a line of"),
        (f"daybook.heads.v1 \u0661 {ROOT}", "are a line of"),
        (f"daybook.heads.v1 1 {ROOT} ", "are a line of"),
        (f"daybook.heads.v1 1 {ROOT}\n", "are a line of"),
        (f"daybook.heads.v1 9999999999999999999 {ROOT}", "at most 9223372036854775807 streams"),
        ("daybook.heads.v1 1 AAAA", "has 32 bytes, not 3"),
        ("daybook.heads.v1 1 AA*A", "is not base64"),
        (f"daybook.heads.v1 1 {ROOT[:-2]}B=", "only spelling"),
    ],
)
def test_lines_that_cannot_be(line: str, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        parse_line(line)


# What the store gives is not believed


def test_a_stream_that_shrinks_is_a_sentence() -> None:
    before = Head(key_of("a"), 5, 9).packed
    for now in (Head(key_of("a"), 5, 10), Head(key_of("a"), 4, 10), Head(key_of("a"), 6, 9)):
        with pytest.raises(ProofError, match="has 5 events up to position 9, and after that its last one is event"):
            merge_heads(before, [now.packed])


def test_bytes_of_another_length_are_a_sentence() -> None:
    with pytest.raises(ProofError, match="have 48 bytes each, and there are 47"):
        bucket_root(bytes(47))
    with pytest.raises(ProofError, match="has 8192 bytes, not 32"):
        root_of_top(bytes(32))


def test_tiles_of_no_streams() -> None:
    assert len(EMPTY_TILES[0]) == len(EMPTY_TILES[1]) == 256 * 32
    assert BUCKETS == 65_536
    assert [tile_of(bucket).number for bucket in (0, 255, 256, 65_535)] == [0, 0, 1, 255]
