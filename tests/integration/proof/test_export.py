"""Tiles as files: a stranger reads the tree from them, they only grow, and a folder with another history is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from eventstore.postgres.connect import connect
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint
from eventstore.proof.merkle import root
from eventstore.proof.notes import Signer
from eventstore.proof.tiles import Tile, reader_of
from tests.support.ledger import Ledger, deposit
from tests.support.postgres import Database
from tests.support.sealing import KEY, ORIGIN, PACE, Sealing, sealing_on
from workers.exporters.tiles import CHECKPOINT, TilesError, export_tiles


@pytest.fixture
def sealing(database: Database) -> Iterator[Sealing]:
    with sealing_on(database, window=1_000) as made:
        yield made


@pytest.fixture
def auditor(database: Database) -> Iterator[Connection[Any]]:
    with connect(database.audit_url, application_name="test") as connection:
        yield connection


def seal(ledger: Ledger, sealing: Sealing, number: int) -> int:
    """Append and seal. Returns the size of the tree."""
    account = ledger.account()
    for _ in range(number):
        ledger.accepted(deposit(account, 100))
    assert sealing.sealer().turn()
    sealing.now += PACE
    last = sealing.last()
    assert last is not None
    return last.size


def head_in(folder: Path) -> Checkpoint:
    """The checkpoint of a folder, whose tiles lead to its root."""

    def read(tiles: Sequence[Tile]) -> list[bytes]:
        return [(folder / tile.path).read_bytes() for tile in tiles]

    known = [Signer(ORIGIN, KEY).verifier]
    head = open_checkpoint((folder / CHECKPOINT).read_bytes(), ORIGIN, known).checkpoint
    assert root(head.size, reader_of(head.size, read)) == head.root
    return head


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The number and the content of each file."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_tree_is_read_from_the_files_and_they_only_grow(
    ledger: Ledger, sealing: Sealing, auditor: Connection[Any], tmp_path: Path
) -> None:
    folder = tmp_path / "public" / "tiles"
    before: dict[str, tuple[int, bytes]] = {}
    for number in (1, 140, 140, 3):
        size = seal(ledger, sealing, number)
        done = export_tiles(auditor, "main", folder)
        assert (done.origin, done.size) == (ORIGIN, size)
        assert head_in(folder).size == size
        files = files_of(folder)
        assert done.tiles == len(files) - len(before or {CHECKPOINT: 0})
        assert {name: file for name, file in files.items() if name in before and name != CHECKPOINT} == {
            name: file for name, file in before.items() if name != CHECKPOINT
        }, "a file with a tile was written again"
        before = files
    assert {"tile/0/000", "tile/0/001", "tile/1/000.p/1", "tile/1/000.p/3"} <= before.keys()
    assert export_tiles(auditor, "main", folder).tiles == 0
    assert not [name for name in before if name.endswith(".partial")]
    assert (folder / CHECKPOINT).stat().st_mode & 0o044 == 0o044, "a web server may read it"


def test_an_export_that_was_cut_off_is_gone_on_with(
    ledger: Ledger, sealing: Sealing, auditor: Connection[Any], tmp_path: Path
) -> None:
    seal(ledger, sealing, 200)
    export_tiles(auditor, "main", tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    (tmp_path / "tile" / "1" / "000.p" / "2").unlink()
    assert export_tiles(auditor, "main", tmp_path).tiles == 1
    head_in(tmp_path)


def test_a_log_without_checkpoint_has_nothing_to_export(
    ledger: Ledger, auditor: Connection[Any], tmp_path: Path
) -> None:
    with pytest.raises(TilesError, match="no checkpoint yet"):
        export_tiles(auditor, "main", tmp_path / "tiles")
    assert not (tmp_path / "tiles").exists()


@pytest.mark.parametrize("kept", ["another root", "more leaves", "no checkpoint", "another tile"])
def test_a_folder_with_another_history_stays_as_it_is(
    ledger: Ledger, sealing: Sealing, auditor: Connection[Any], tmp_path: Path, kept: str
) -> None:
    size = seal(ledger, sealing, 10)
    export_tiles(auditor, "main", tmp_path)
    head = head_in(tmp_path)
    other = {
        "another root": str(Checkpoint(ORIGIN, size, bytes(32)).sign([Signer(ORIGIN, KEY)])),
        "more leaves": str(Checkpoint(ORIGIN, size + 1_000, head.root).sign([Signer(ORIGIN, KEY)])),
        "no checkpoint": "something else",
    }
    if kept == "another tile":
        (tmp_path / CHECKPOINT).unlink()
        (tmp_path / f"tile/0/000.p/{size}").write_bytes(bytes(32 * size))
    else:
        (tmp_path / CHECKPOINT).write_text(other[kept])
    before = files_of(tmp_path)
    with pytest.raises(TilesError, match="another folder"):
        export_tiles(auditor, "main", tmp_path)
    assert files_of(tmp_path) == before
