"""Checks that the log is what was sealed, and that the tree of the transparency log has the heads that were signed.

`SealedLeaves` compares each event with the hash in the tree, while the digest is computed. `check_tree` starts from the
lowest tiles and computes everything above: the other tiles, and the root of each checkpoint. So an event that was
changed is a finding of the first, and a tile or a checkpoint one of the second. Both hold a few hundred tiles at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from eventstore.log.leaf import Hashed
from eventstore.proof.checkpoints import parse_checkpoint
from eventstore.proof.cosignatures import Witness, signed_at
from eventstore.proof.heads import heads_of
from eventstore.proof.merkle import HASH_BYTES
from eventstore.proof.notes import NoteError, Verifier, open_note, parse_note, parse_verifier
from eventstore.proof.store import StoredKey, read_keys, read_tree, tile_reader
from eventstore.proof.tiles import LEVELS, TILE_BYTES, WIDTH, Edge, Grown, ReadTiles, Tile, width_at
from workers.verify.report import Check, Tally

SEALED: Final = "events are what was sealed"
SIGNED: Final = "the tree has the heads that were signed"
UNSEALED: Final = "the log is not sealed"
NOT_YET: Final = "not sealed yet"
PAGE: Final = 256
"""Tiles, and checkpoints, that are read by one statement."""
RESTORE: Final = "restore the schema proof from a dump"

_TILES = """
SELECT number, hashes FROM proof.tiles WHERE log = %s AND level = 0 AND number BETWEEN %s AND %s ORDER BY number
"""
_CHECKPOINTS = """
SELECT size, root, note, streams, heads_root FROM proof.checkpoints WHERE log = %s AND size > %s ORDER BY size LIMIT %s
"""
_COSIGNATURES = """
SELECT s.size, s.witness, s.line, s.signed_at, c.note
  FROM proof.cosignatures s LEFT JOIN proof.checkpoints c ON c.log = s.log AND c.size = s.size
 WHERE s.log = %s AND (s.size, s.witness) > (%s, %s) ORDER BY s.size, s.witness LIMIT %s
"""
_TOTAL = """
SELECT (SELECT count(*) FROM proof.tiles WHERE log = %(log)s) + (SELECT count(*) FROM proof.keys WHERE log = %(log)s)
     + (SELECT count(*) FROM proof.checkpoints WHERE log = %(log)s)
     + (SELECT count(*) FROM proof.cosignatures WHERE log = %(log)s)
"""
_WIDTHS = """
SELECT level, number, have, due
  FROM (SELECT level, number, octet_length(hashes) / 32.0 AS have,
               CASE WHEN level NOT BETWEEN 0 AND 7 THEN 0
                    WHEN number < after THEN 256
                    WHEN number = after THEN (%(size)s::bigint >> 8 * level) & 255
                    ELSE 0 END AS due
          FROM (SELECT level, number, hashes,
                       CASE WHEN level < 7 THEN %(size)s::bigint >> 8 * (level + 1) ELSE 0 END AS after
                  FROM proof.tiles WHERE log = %(log)s) t) t
 WHERE have <> due ORDER BY level, number
"""
_LEVELS = """
SELECT l.level, l.due, count(t.number)
  FROM (SELECT level, ((%(size)s::bigint >> 8 * level) / 256
                       + ((%(size)s::bigint >> 8 * level) %% 256 > 0)::int) AS due
          FROM generate_series(0, 7) AS level) l
  LEFT JOIN proof.tiles t ON t.log = %(log)s AND t.level = l.level
 GROUP BY l.level, l.due HAVING count(t.number) <> l.due ORDER BY l.level
"""
_OF_NO_LOG = """
SELECT what, log, count(*)
  FROM (SELECT 'trees' AS what, log FROM proof.trees UNION ALL SELECT 'tiles', log FROM proof.tiles
        UNION ALL SELECT 'keys', log FROM proof.keys UNION ALL SELECT 'checkpoints', log FROM proof.checkpoints
        UNION ALL SELECT 'cosignatures', log FROM proof.cosignatures UNION ALL SELECT 'heads', log FROM proof.heads
        UNION ALL SELECT 'head_tiles', log FROM proof.head_tiles) p
 WHERE log NOT IN (SELECT l.log FROM log.logs l) GROUP BY what, log ORDER BY what, log
"""


class Stored(NamedTuple):
    """A checkpoint with the heads of streams that its row has."""

    size: int
    root: bytes
    note: str
    streams: int | None
    heads_root: bytes | None


class SealedLeaves:
    """Compares leaf hashes of the log with those in the tree. `passing` takes the windows up to the head, in order."""

    def __init__(self, connection: Connection[Any], log_number: int) -> None:
        self._connection = connection
        self._log_number = log_number
        tree = read_tree(connection, log_number)
        self._size = None if tree is None else tree.size
        self._tally = Tally(SEALED)

    def passing(self, windows: Iterable[Hashed]) -> Iterator[Hashed]:
        """The same windows, which are compared on their way."""
        for window in windows:
            self._compare(window)
            yield window

    def check(self, events: int) -> Check:
        """The check of all events of the log."""
        size, tally = self._size or 0, self._tally
        if tally.covered < size:
            gone = size - tally.covered
            tally.find(
                None, f"{gone} of the {size} events that were sealed are not in the log; restore them from a dump"
            )
        return tally.check("events", events)

    def _compare(self, window: Hashed) -> None:
        size = self._size or 0
        sealed = [position for position in window.positions if position <= size] if size else []
        self._tally.covered += len(sealed)
        if later := len(window.positions) - len(sealed):
            self._tally.not_covered[UNSEALED if self._size is None else NOT_YET] += later
        if not sealed:
            return
        first = (sealed[0] - 1) // WIDTH
        tiles = self._tiles(first, (sealed[-1] - 1) // WIDTH)
        expected = b"".join([_at(tiles, position - 1 - first * WIDTH) for position in sealed])
        if expected == window.hashes[: len(sealed) * HASH_BYTES]:
            return
        for place, position in enumerate(sealed):
            at = slice(place * HASH_BYTES, (place + 1) * HASH_BYTES)
            if window.hashes[at] != expected[at]:
                self._tally.find(position, "it is not the event that was sealed, or its hash in the tree was changed")

    def _tiles(self, first: int, last: int) -> bytes:
        """The hashes of the lowest tiles, joined. Zeros stand for what is missing."""
        rows = self._connection.execute(_TILES, (self._log_number, first, last), binary=True)
        found: dict[int, bytes] = dict(rows.fetchall())
        return b"".join([
            found.get(number, b"")[:TILE_BYTES].ljust(TILE_BYTES, b"\x00") for number in range(first, last + 1)
        ])  # fmt: skip


def _at(hashes: bytes, place: int) -> bytes:
    return hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES]


def check_tree(connection: Connection[Any], log_number: int) -> Check:
    """Compute the tiles above the lowest ones, and the root of each checkpoint, and verify what was signed by whom."""
    return _Tree(connection, log_number).check()


class _Tree:
    """The tree of a log, as it is computed from its lowest tiles."""

    def __init__(self, connection: Connection[Any], log_number: int) -> None:
        self._connection = connection
        self._log_number = log_number
        self._tally = Tally(SIGNED)
        self._edge = Edge()
        self._above = [0] * LEVELS  # hashes of each level that were computed
        self._keys: list[tuple[int, Verifier]] = []  # the size of the tree when each began to sign

    def check(self) -> Check:
        row = self._connection.execute(_TOTAL, {"log": self._log_number}).fetchone()
        assert row is not None, "an aggregate has a row"
        total = int(row[0])
        for what, log, number in self._connection.execute(_OF_NO_LOG):
            self._tally.find(None, f"{number} rows of proof.{what} are of the log {log}, which does not exist")
        tree = read_tree(self._connection, self._log_number)
        if tree is None:
            if total:
                self._tally.find(None, f"there are {total} tiles, keys and signatures, and no tree; {RESTORE}")
                self._tally.covered = total
        else:
            self._sizes(tree.size)
            self._read_keys(tree.size)
            self._climb(tree.size)
            self._cosigned()
        return self._tally.check("tiles, keys and signatures", total)

    def _sizes(self, size: int) -> None:
        """Whether the tiles are those of a tree of this size."""
        asked = {"log": self._log_number, "size": size}
        for level, due, have in self._connection.execute(_LEVELS, asked):
            self._find(f"level {level} has {have} tiles, and that of a tree of {size} leaves has {due}")
        for level, number, have, due in self._connection.execute(_WIDTHS, asked):
            self._find(f"tile {number} of level {level} has {have:g} hashes, and in a tree of {size} leaves {due}")

    def _read_keys(self, size: int) -> None:
        """Whether keys are numbered one after another, and each began at the size where the one before ended."""
        before = 0
        for place, stored in enumerate(read_keys(self._connection, self._log_number), 1):
            self._tally.covered += 1
            if stored.number != place:
                self._find(f"key {place} is missing; what is there has the number {stored.number}")
            if not before <= stored.size <= size:
                self._find(f"key {stored.number} signs from the size {stored.size} on, out of order")
            before = stored.size
            self._keys += self._parsed(stored)

    def _parsed(self, stored: StoredKey) -> list[tuple[int, Verifier]]:
        try:
            return [(stored.size, parse_verifier(stored.verifier))]
        except NoteError as error:
            self._find(f"key {stored.number} cannot be read: {error}")
            return []

    def _climb(self, size: int) -> None:
        """Add the lowest tiles one after another, and compare what follows from them."""
        heads = self._checkpoints()
        head = next(heads, None)
        read = tile_reader(self._connection, self._log_number)
        for first in range(0, -(-size // WIDTH), PAGE):
            rows = self._connection.execute(_TILES, (self._log_number, first, first + PAGE - 1), binary=True).fetchall()
            leaves, whole = _joined(rows, first, size)
            self._tally.covered += -(-len(leaves) // TILE_BYTES)
            at = 0
            while at < len(leaves):
                upto = len(leaves) if head is None else at + (head.size - self._edge.size) * HASH_BYTES
                grown = self._edge.append(leaves[at:upto])
                at = upto
                self._compare([one for one in grown if one.level], read)
                while head is not None and head.size <= self._edge.size:
                    self._judge(head, self._edge.root())
                    head = next(heads, None)
            if not whole:
                what = f"there is no leaf {self._edge.size} in the tiles: nothing after it can be computed"
                self._tally.find(None, f"{what}; {RESTORE}")
                return
        while head is not None:
            self._judge(head, None)
            head = next(heads, None)

    def _compare(self, grown: Sequence[Grown], read: ReadTiles) -> None:
        """Compare hashes above the lowest tiles with those that are kept."""
        if not grown:
            return
        kept = read([Tile(level, number) for level, number, _ in grown])
        for (level, number, hashes), tile in zip(grown, kept, strict=True):
            place = self._above[level] - number * WIDTH
            self._above[level] += len(hashes) // HASH_BYTES
            self._tally.covered += place == 0
            if tile[place * HASH_BYTES :][: len(hashes)] != hashes:
                self._find(f"{Tile(level, number).path} has other hashes than the tiles below it")

    def _checkpoints(self) -> Iterator[Stored]:
        after = -1
        while rows := self._connection.execute(_CHECKPOINTS, (self._log_number, after, PAGE), binary=True).fetchall():
            for row in rows:
                yield Stored(*row)
            after = rows[-1][0]

    def _judge(self, stored: Stored, root: bytes | None) -> None:
        """Hold a checkpoint to the root of the tree at its size; None if the tree is smaller."""
        self._tally.covered += 1
        wrong = self._wrong_with(stored, root)
        if wrong is not None:
            self._tally.find(stored.size, f"the checkpoint of this size: {wrong}")

    def _wrong_with(self, stored: Stored, root: bytes | None) -> str | None:
        try:
            note = open_note(stored.note.encode(), [key for _, key in self._keys])
            said = parse_checkpoint(note.text)
            heads = heads_of(said)
        except NoteError as error:
            return str(error)
        signed = {(one.name, one.id) for one in note.verified}
        if not any((key.name, key.id) in signed and key.name == said.origin for key in self._signing(stored.size)):
            return "the key that signed at that time has not signed it"
        if any(one.name == said.origin for one in note.unknown):
            return "a key of this name has signed it that is not kept"
        if (said.size, said.root) != (stored.size, stored.root):
            return f"its note is of {said.size} leaves, or of another root than its row"
        if (None if heads is None else heads.streams, None if heads is None else heads.root) != stored[3:]:
            return "its note has other heads of streams than its row"
        if root is None:
            return "the tree is smaller"
        return None if root == stored.root else "the tiles have another root"

    def _cosigned(self) -> None:
        """Whether each cosignature is that of its witness, at its time, of the checkpoint of its size."""
        after: tuple[int, str] = (-1, "")
        while rows := self._connection.execute(_COSIGNATURES, (self._log_number, *after, PAGE)).fetchall():
            for size, witness, line, at, note in rows:
                self._tally.covered += 1
                wrong = _wrong_cosignature(witness, line, at, note)
                if wrong is not None:
                    self._tally.find(size, f"the cosignature of the checkpoint of this size by {witness}: {wrong}")
            after = rows[-1][:2]

    def _signing(self, size: int) -> list[Verifier]:
        """The keys that may have signed a tree of this size. Where one took over, that and the one before it."""
        before = [key for since, key in self._keys if since < size]
        return [*before[-1:], *(key for since, key in self._keys if since == size)]

    def _find(self, what: str) -> None:
        self._tally.find(None, f"{what}; {RESTORE}")


def _wrong_cosignature(witness: str, line: str, at: datetime, note: str | None) -> str | None:
    if note is None:
        return "there is no such checkpoint"
    try:
        signed = f"{parse_note(note.encode()).text}\n{line}\n"
        [signature] = open_note(signed.encode(), [Witness(parse_verifier(witness))]).verified
        return None if signed_at(signature) == at else "it was signed at another time"
    except NoteError as error:
        return str(error)


def _joined(rows: Sequence[tuple[int, bytes]], first: int, size: int) -> tuple[bytes, bool]:
    """The hashes of a page of tiles up to the first that is missing or too short, and whether there is none such."""
    found = dict(rows)
    joined = []
    for number in range(first, min(first + PAGE, -(-size // WIDTH))):
        due = width_at(0, number, size) * HASH_BYTES
        hashes = found.get(number, b"")[:due]
        joined.append(hashes[: len(hashes) // HASH_BYTES * HASH_BYTES])
        if len(hashes) < due:
            return b"".join(joined), False
    return b"".join(joined), True
