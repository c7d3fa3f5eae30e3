"""Writes the tiles and the checkpoint of the transparency log as files, in the layout of C2SP `tlog-tiles`.

Any web server can serve them. A tile never changes, so it is written once. The checkpoint is written last: who reads it
finds all tiles below it. Another export goes on from the checkpoint in the folder, which has to be of the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from eventstore.log.read import read_head
from eventstore.proof.checkpoints import Checkpoint, parse_checkpoint
from eventstore.proof.merkle import root
from eventstore.proof.notes import NoteError, parse_note
from eventstore.proof.store import StoredCheckpoint, last_checkpoint, tile_reader
from eventstore.proof.tiles import HEIGHT, LEVELS, Tile, reader_of, width_at
from workers.databases import one_moment
from workers.exporters.files import PUBLIC, new_file

CHECKPOINT: Final = "checkpoint"
PAGE: Final = 256
"""Tiles that are read by one statement."""
_ELSEWHERE: Final = "export into another folder, and find out which of the two histories was published"


class TilesError(RuntimeError):
    """The tiles cannot be exported. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class ExportedTiles:
    """What was written, and the head that the folder has now."""

    origin: str
    size: int
    tiles: int  # that were written now

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        return asdict(self)


def export_tiles(connection: Connection[Any], log: str, folder: Path) -> ExportedTiles:
    """Write what the folder does not have yet, up to the newest checkpoint. Raises `TilesError`."""
    with one_moment(connection):
        log_number = read_head(connection, log).log_number
        head = last_checkpoint(connection, log_number)
        if head is None:
            raise TilesError(f"the log {log} has no checkpoint yet: daybook seal signs them")
        read = tile_reader(connection, log_number)
        before = _kept(folder / CHECKPOINT)
        if before is not None and (
            before.size > head.size or root(before.size, reader_of(before.size, read)) != before.root
        ):
            raise TilesError(
                f"{folder} has a checkpoint of {before.origin} with {before.size} leaves, which are not the first of "
                f"the {head.size} of this log: {_ELSEWHERE}"
            )
        written = 0
        tiles = _tiles(0 if before is None else before.size, head.size)
        while page := list(islice(tiles, PAGE)):
            for tile, hashes in zip(page, read(page), strict=True):
                written += _write(folder / tile.path, hashes)
        return _signed(folder, head, written)


def _tiles(old: int, new: int) -> Iterator[Tile]:
    """The tiles of a tree that a smaller one does not have."""
    for level in range(LEVELS):
        if old >> HEIGHT * level == new >> HEIGHT * level:
            continue
        number = old >> HEIGHT * (level + 1)
        while width := width_at(level, number, new):
            yield Tile(level, number, width)
            number += 1


def _write(path: Path, content: bytes) -> bool:
    """Write a file unless it is there. Returns whether it was written."""
    if path.exists():
        if path.read_bytes() != content:
            raise TilesError(f"{path} has other hashes than the tree of this log: {_ELSEWHERE}")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path, PUBLIC) as file:
        file.write(content)
    return True


def _signed(folder: Path, head: StoredCheckpoint, written: int) -> ExportedTiles:
    with new_file(folder / CHECKPOINT, PUBLIC) as file:
        file.write(head.note.encode())
    checkpoint = parse_checkpoint(parse_note(head.note.encode()).text)
    return ExportedTiles(checkpoint.origin, checkpoint.size, written)


def _kept(path: Path) -> Checkpoint | None:
    """The checkpoint in a file; None if there is no file."""
    try:
        return parse_checkpoint(parse_note(path.read_bytes()).text)
    except FileNotFoundError:
        return None
    except NoteError as error:
        raise TilesError(f"{path} is no checkpoint: {error}; {_ELSEWHERE}") from None
