"""Tiles: their paths, that a tree grows by them in any steps, and that everything is read from them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.proof.merkle import EMPTY_ROOT, HASH_BYTES, ProofError, consistency_proof, inclusion_proof, root
from eventstore.proof.tiles import (
    WIDTH,
    Edge,
    Grown,
    ReadTiles,
    Tile,
    TilePathError,
    edge_of,
    parse_path,
    reader_of,
    tiles_of,
    width_at,
)
from tests.support.merkle import hashes_of, naive_path, naive_proof, naive_root

Stored = dict[tuple[int, int], bytes]


def store(stored: Stored, grown: Sequence[Grown]) -> None:
    for level, number, hashes in grown:
        stored[level, number] = stored.get((level, number), b"") + hashes


def read_from(stored: Stored) -> ReadTiles:
    return lambda tiles: [stored[tile.level, tile.number] for tile in tiles]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(3, 1234067), "tile/3/x001/x234/067"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(7, 1000, 1), "tile/7/x001/000.p/1"),
    ],
)
def test_paths(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == (tile, False)


def test_paths_of_entries() -> None:
    assert Tile(0, 1234067, 5).entries_path == "tile/entries/x001/x234/067.p/5"
    assert parse_path("tile/entries/x001/x234/067.p/5") == (Tile(0, 1234067, 5), True)


@given(st.integers(0, 7), st.integers(0, 2**55), st.integers(1, WIDTH))
def test_every_tile_has_one_path(level: int, number: int, width: int) -> None:
    tile = Tile(level, number, width)
    assert parse_path(tile.path) == (tile, False)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("", "named as tile/LEVEL/NUMBER"),
        ("tile/0/0", "named as tile/LEVEL/NUMBER"),
        ("tile/0/1000", "named as tile/LEVEL/NUMBER"),
        ("tile/0/001/000", "named as tile/LEVEL/NUMBER"),
        ("tile/00/000", "named as tile/LEVEL/NUMBER"),
        ("tile/0/000.p/0", "named as tile/LEVEL/NUMBER"),
        ("tile/0/000.p/01", "named as tile/LEVEL/NUMBER"),
        ("tile/0/000/", "named as tile/LEVEL/NUMBER"),
        ("tile/0/\u0660\u0660\u0660", "named as tile/LEVEL/NUMBER"),
        ("tile/0/" + "x001/" * 7 + "000", "named as tile/LEVEL/NUMBER"),
        ("tile/0/000.p/256", "from 1 to 255 hashes, not 256"),
        ("tile/8/000", "the levels 0 to 7, not 8"),
        ("tile/0/x000/001", "is written as 001"),
    ],
)
def test_what_names_no_tile_is_a_sentence(path: str, sentence: str) -> None:
    with pytest.raises(TilePathError, match=sentence):
        parse_path(path)


def test_the_example_of_the_specification() -> None:
    """70,000 leaves: 273 full tiles and one of 112 at level 0, a full one and one of 17 at level 1."""
    assert list(tiles_of(70_000)) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert [width_at(level, number, 70_000) for level, number in ((0, 272), (0, 273), (0, 274), (1, 0), (2, 0))] == [
        256, 112, 0, 256, 1,
    ]  # fmt: skip
    assert list(tiles_of(256)) == [Tile(1, 0, 1)]


@given(st.lists(st.integers(0, 700), max_size=6))
def test_a_tree_grows_in_any_steps(steps: list[int]) -> None:
    hashes = hashes_of(sum(steps))
    stored: Stored = {}
    edge, size = Edge(), 0
    for step in steps:
        store(stored, edge.append(b"".join(hashes[size : size + step])))
        size += step
        assert edge.size == size
        assert edge.root() == (naive_root(hashes[:size]) if size else EMPTY_ROOT)
        assert edge.last == (hashes[size - 1] if size else None)
        assert edge_of(size, read_from(stored)) == edge
    for (level, number), tile in stored.items():
        assert len(tile) == HASH_BYTES * width_at(level, number, size)
        for at in range(len(tile) // HASH_BYTES):
            first = (number * WIDTH + at) * WIDTH**level
            assert tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] == naive_root(hashes[first : first + WIDTH**level])


def test_proofs_at_every_size_are_read_from_the_tiles_of_a_later_one() -> None:
    hashes = hashes_of(1_000)
    edge, stored = Edge(), Stored()
    store(stored, edge.append(b"".join(hashes)))
    for size in (1, 2, 255, 256, 257, 511, 512, 700, 1_000):
        read = reader_of(size, read_from(stored))
        assert root(size, read) == naive_root(hashes[:size])
        for index in {0, size // 2, size - 1}:
            assert inclusion_proof(index, size, read) == naive_path(index, hashes[:size])
        for old in {1, size // 3 + 1, size}:
            assert consistency_proof(old, size, read) == naive_proof(old, hashes[:size])


def test_a_tree_of_several_levels() -> None:
    """65,536 leaves fill a tile of level 1; its root is the first hash of level 2."""
    hashes = hashes_of(WIDTH * WIDTH + 3)
    edge, stored = Edge(), Stored()
    store(stored, edge.append(b"".join(hashes)))
    assert sorted({level for level, _ in stored}) == [0, 1, 2]
    assert stored[2, 0] == naive_root(hashes[: WIDTH * WIDTH])
    assert edge.root() == naive_root(hashes)


def test_a_tile_that_is_too_short_is_a_sentence() -> None:
    with pytest.raises(ProofError, match=r"tile/0/000.p/3 has 2 hashes, and a tree of 3 leaves needs 3"):
        root(3, reader_of(3, lambda tiles: [b"".join(hashes_of(2)) for _ in tiles]))
    with pytest.raises(ProofError, match=r"tile/0/000.p/3 has 2 hashes, and a tree of 3 leaves needs 3"):
        edge_of(3, lambda tiles: [b"".join(hashes_of(2)) for _ in tiles])


def test_leaf_hashes_of_another_length_are_a_sentence() -> None:
    with pytest.raises(ProofError, match="hashes of 32 bytes were expected, and there are 33 bytes"):
        Edge().append(bytes(33))
