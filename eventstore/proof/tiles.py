"""Tiles of the Merkle tree, as C2SP `tlog-tiles` defines them: their paths, and how they grow and are read.

A tile is 256 hashes of one height, side by side: at level 0 those of leaves, at level `l` those of full tiles of the
level below. The last tile of a level is partial while the tree grows. Hashes are only added at its end, so a partial
tile of any earlier size is the beginning of a later one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from eventstore.proof.merkle import (
    HASH_BYTES,
    MOST_LEAVES,
    Node,
    ProofError,
    ReadNodes,
    complete_nodes,
    root_of_nodes,
)

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""Hashes of a full tile."""
TILE_BYTES: Final = WIDTH * HASH_BYTES
LEVELS: Final = 8
"""Levels of a tree of at most 2**63 - 1 leaves."""

_GROUPS = r"(?:x[0-9]{3}/){0,6}[0-9]{3}"
_PATH: Final = re.compile(rf"tile/(0|[1-9][0-9]?|entries)/({_GROUPS})(?:\.p/([1-9][0-9]{{0,2}}))?")


class TilePathError(ValueError):
    """A path does not name a tile. The message is one sentence."""


class Tile(NamedTuple):
    """A tile by its level, its number within the level and its width. A full tile has the width 256."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its path, such as `tile/0/x001/234.p/5`."""
        return f"tile/{self.level}/{_number_path(self)}"

    @property
    def entries_path(self) -> str:
        """The path of the entries that its hashes are of. It is a tile of level 0."""
        assert self.level == 0, "only tiles of level 0 are hashes of entries"
        return f"tile/entries/{_number_path(self)}"


class Named(NamedTuple):
    """What a path names: a tile of hashes, or the entries below one."""

    tile: Tile
    entries: bool


def parse_path(path: str) -> Named:
    """What a path names. Raises `TilePathError`."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise TilePathError(
            "a tile is named as tile/LEVEL/NUMBER or tile/entries/NUMBER, the number in groups of three digits such as "
            "x001/234, and .p/WIDTH after it if it is partial"
        )
    level, groups, width = found.groups()
    number = int(groups.replace("x", "").replace("/", ""))
    tile = Tile(0 if level == "entries" else int(level), number, WIDTH if width is None else int(width))
    if tile.level >= LEVELS:
        raise TilePathError(f"a tree has the levels 0 to {LEVELS - 1}, not {tile.level}")
    if width is not None and tile.width >= WIDTH:
        raise TilePathError(f"a partial tile has from 1 to {WIDTH - 1} hashes, not {tile.width}")
    if groups != _groups_of(number):
        raise TilePathError(f"the number {number} is written as {_groups_of(number)}, without leading groups")
    return Named(tile, level == "entries")


def width_at(level: int, number: int, size: int) -> int:
    """How many hashes a tile has in a tree of this size; 0 if there is no such tile."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - number * WIDTH))


def tiles_of(size: int) -> Iterator[Tile]:
    """The last tile of each level of a tree of this size, from the bottom, where it is partial."""
    for level in range(LEVELS):
        hashes = size >> HEIGHT * level
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)


def _number_path(tile: Tile) -> str:
    partial = "" if tile.width == WIDTH else f".p/{tile.width}"
    return _groups_of(tile.number) + partial


def _groups_of(number: int) -> str:
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


# Growing


class Grown(NamedTuple):
    """Hashes that are added at the end of a tile."""

    level: int
    number: int
    hashes: bytes


@dataclass
class Edge:
    """The right edge of a tree: the hashes of the last tile of each level, where it is partial, and the last leaf.

    Everything that is added is computed from it; nothing of the tree is read again.
    """

    size: int = 0
    partial: list[bytes] = field(default_factory=lambda: [b""] * LEVELS)
    last: bytes | None = None
    """The hash of the last leaf; None for a tree without leaves."""

    def append(self, leaves: bytes) -> list[Grown]:
        """Add leaf hashes, joined. Returns what is added to which tiles, from the bottom up."""
        if len(leaves) % HASH_BYTES:
            raise ProofError(f"hashes of {HASH_BYTES} bytes were expected, and there are {len(leaves)} bytes")
        if not leaves:
            return []
        grown: list[Grown] = []
        added, level = leaves, 0
        while added:
            before = self.size >> HEIGHT * level
            grown += _cut(level, before, added)
            tiles = self.partial[level] + added
            full = len(tiles) // TILE_BYTES
            above = b"".join([root_of_full(tiles[TILE_BYTES * n : TILE_BYTES * (n + 1)]) for n in range(full)])
            self.partial[level] = tiles[TILE_BYTES * full :]
            added, level = above, level + 1
        self.size += len(leaves) // HASH_BYTES
        self.last = leaves[-HASH_BYTES:]
        return grown

    def root(self) -> bytes:
        """The root of the tree."""
        peaks = []
        for level in reversed(range(LEVELS)):
            tile = self.partial[level]
            peaks += [
                _subtree(tile, node.number << node.height, node.height)
                for node in complete_nodes(0, len(tile) // HASH_BYTES)
            ]
        return root_of_nodes(peaks)


def _cut(level: int, before: int, added: bytes) -> Iterator[Grown]:
    """Cut hashes that follow `before` others of a level at the borders of tiles."""
    start = 0
    while start < len(added):
        number, width = divmod(before + start // HASH_BYTES, WIDTH)
        end = start + (WIDTH - width) * HASH_BYTES
        yield Grown(level, number, added[start:end])
        start = end


def root_of_full(hashes: bytes) -> bytes:
    """The root over hashes side by side; their number is a power of two."""
    sha256 = hashlib.sha256
    pair = 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:  # a hot loop: two hashes are one slice
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)])
    return hashes


def _subtree(tile: bytes, first: int, height: int) -> bytes:
    """The root over the `2**height` hashes of a tile from `first` on."""
    return root_of_full(tile[first * HASH_BYTES : (first + (1 << height)) * HASH_BYTES])


# Reading

ReadTiles = Callable[[Sequence[Tile]], Sequence[bytes]]
"""Returns the hashes of tiles, joined, in the order of the tiles. Each has at least the width that is asked for."""


def reader_of(size: int, read: ReadTiles) -> ReadNodes:
    """A reader of the nodes of a tree of this size from its tiles. Raises `ProofError` for a tile that is too short."""

    def hashes(nodes: Sequence[Node]) -> list[bytes]:
        places = [_place(node) for node in nodes]
        wanted = sorted({(level, number) for level, number, *_ in places})
        tiles = [Tile(level, number, width_at(level, number, size)) for level, number in wanted]
        found = dict(zip(wanted, read(tiles), strict=True))
        for tile in tiles:
            have = len(found[tile.level, tile.number]) // HASH_BYTES
            if have < tile.width:
                raise ProofError(f"{tile.path} has {have} hashes, and a tree of {size} leaves needs {tile.width}")
        return [_subtree(found[level, number], first, height) for level, number, first, height in places]

    return hashes


def edge_of(size: int, read: ReadTiles) -> Edge:
    """The right edge of a tree of this size, from its tiles."""
    if not 0 <= size <= MOST_LEAVES:
        raise ProofError(f"a tree has from 0 to {MOST_LEAVES} leaves, not {size}")
    edge = Edge(size)
    partial = list(tiles_of(size))
    for tile, hashes in zip(partial, read(partial) if partial else (), strict=True):
        have = len(hashes) // HASH_BYTES
        if have < tile.width:
            raise ProofError(f"{tile.path} has {have} hashes, and a tree of {size} leaves needs {tile.width}")
        edge.partial[tile.level] = hashes[: tile.width * HASH_BYTES]
    if size:
        edge.last = reader_of(size, read)([Node(0, size - 1)])[0]
    return edge


def _place(node: Node) -> tuple[int, int, int, int]:
    """Level and number of the tile that a node is computed from, the first hash in it, and the height above that."""
    level, height = divmod(node.height, HEIGHT)
    number, first = divmod(node.number << height, WIDTH)
    return level, number, first, height
