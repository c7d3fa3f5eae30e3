"""An independent implementation agrees: the modules of the Go checksum database verify what we make, and we theirs.

`tests/support/proof_in_go` is the program. Without Go the test is left out, which CI does not allow.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from eventstore.log.leaf import leaf_hash
from eventstore.postgres.connect import connect
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint
from eventstore.proof.merkle import (
    HASH_BYTES,
    consistency_proof,
    inclusion_proof,
    root,
    verify_consistency,
    verify_inclusion,
)
from eventstore.proof.notes import Signer
from eventstore.proof.store import read_leaves, tile_reader
from eventstore.proof.tiles import Edge, Tile, parse_path, reader_of, width_at
from tests.support.ledger import deposit, ledger_on
from tests.support.postgres import Database
from tests.support.sealing import KEY, sealing_on
from tests.support.sealing import ORIGIN as SEALED_ORIGIN
from workers.exporters.tiles import export_tiles

PROGRAM: Final = Path(__file__).parents[2] / "support" / "proof_in_go"
SECONDS: Final = 300
SIZE: Final = 256 * 256 + 700  # three levels, each with a partial tile
ORIGIN: Final = "log.example/main"
OURS, THEIRS = Signer(ORIGIN, b"\x07" * 32), Signer(ORIGIN, b"\x08" * 32)
SIZES: Final = (1, 2, 3, 255, 256, 257, 511, 65_535, 65_536, 65_537, SIZE - 1, SIZE)

Stored = dict[tuple[int, int], bytes]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed (Debian: apt-get install golang-go)")
    built = tmp_path_factory.mktemp("go") / "proof"
    subprocess.run([go, "build", "-o", built, "."], cwd=PROGRAM, check=True, timeout=SECONDS)
    return built


@pytest.fixture(scope="module")
def leaves() -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(SIZE)]


@pytest.fixture(scope="module")
def stored(leaves: list[bytes]) -> Stored:
    """Our tree, grown in uneven steps."""
    tiles: Stored = {}
    edge, after = Edge(), 0
    for step in (1, 255, 300, 20_000, SIZE):
        upto = min(SIZE, after + step)
        for level, number, hashes in edge.append(b"".join(map(leaf_hash, leaves[after:upto]))):
            tiles[level, number] = tiles.get((level, number), b"") + hashes
        after = upto
    return tiles


def asked(leaves: list[bytes], stored: Stored) -> dict[str, Any]:
    """What the program gets: our tree to verify, and what to make."""

    def read(tiles: Sequence[Tile]) -> list[bytes]:
        return [stored[tile.level, tile.number] for tile in tiles]

    nodes = reader_of(SIZE, read)
    roots = {size: root(size, nodes) for size in SIZES}
    inclusion = [
        {"Index": index, "Size": size, "Leaf": leaf_hash(leaves[index]), "Root": roots[size],
         "Proof": inclusion_proof(index, size, nodes)}
        for size in SIZES for index in sorted({0, size // 3, size - 1})
    ]  # fmt: skip
    consistency = [
        {"Old": old, "New": new, "OldRoot": roots[old], "NewRoot": roots[new],
         "Proof": consistency_proof(old, new, nodes)}
        for old in SIZES for new in SIZES if old <= new
    ]  # fmt: skip
    return {
        "Theirs": {
            "Verifier": str(OURS.verifier),
            "Note": str(Checkpoint(ORIGIN, SIZE, roots[SIZE]).sign([THEIRS, OURS])),
            "Tiles": {Tile(*place, width_at(*place, SIZE)).path: hashes for place, hashes in stored.items()},
            "Inclusion": inclusion,
            "Consistency": consistency,
        },
        "Signer": THEIRS.secret_text,
        "Origin": ORIGIN,
        "Leaves": leaves,
    }


def run(program: Path, request: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    raw = json.dumps(request, default=lambda value: b64encode(value).decode()).encode()
    return subprocess.run([program], input=raw, capture_output=True, timeout=SECONDS, check=False)


def hashes_of(listed: list[str]) -> list[bytes]:
    return [b64decode(text) for text in listed]


def test_go_verifies_ours_and_we_verify_what_go_made(program: Path, leaves: list[bytes], stored: Stored) -> None:
    done = run(program, asked(leaves, stored))
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    head, made = b64decode(answer["Root"]), answer["Ours"]
    assert answer["Size"] == SIZE

    checkpoint = open_checkpoint(made["Note"].encode(), ORIGIN, [THEIRS.verifier]).checkpoint
    assert checkpoint == Checkpoint(ORIGIN, SIZE, head)
    tiles = {path: b64decode(text) for path, text in made["Tiles"].items()}
    assert {Tile(*place, width_at(*place, SIZE)).path for place in stored} <= tiles.keys()
    for path, hashes in tiles.items():
        level, number, width = parse_path(path).tile
        assert stored[level, number][: width * HASH_BYTES] == hashes, path
    for one in made["Inclusion"]:
        of_leaf, top = hashes_of([one["Leaf"], one["Root"]])
        verify_inclusion(one["Index"], one["Size"], of_leaf, hashes_of(one["Proof"]), top)
    for one in made["Consistency"]:
        old, new = hashes_of([one["OldRoot"], one["NewRoot"]])
        verify_consistency(one["Old"], one["New"], old, new, hashes_of(one["Proof"]))


def test_go_reads_a_tree_from_exported_files(program: Path, database18: Database, tmp_path: Path) -> None:
    with ledger_on(database18) as ledger, sealing_on(database18, window=1_000) as sealing:
        account = ledger.account()
        for _ in range(150):
            ledger.accepted(deposit(account, 100))
        assert sealing.sealer().turn()
        head = sealing.last()
        assert head is not None
        export_tiles(sealing.connection, "main", tmp_path)
        nodes = reader_of(head.size, tile_reader(sealing.connection, sealing.log_number))
        leaves = read_leaves_of(database18, head.size)
        inclusion = [
            {"Index": index, "Size": head.size, "Leaf": leaf_hash(leaves[index]), "Root": head.root,
             "Proof": inclusion_proof(index, head.size, nodes)}
            for index in (0, 255, 256, head.size - 1)
        ]  # fmt: skip
    tiles = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("tile/**/*")
             if path.is_file()}  # fmt: skip
    theirs = {
        "Verifier": str(Signer(SEALED_ORIGIN, KEY).verifier),
        "Note": (tmp_path / "checkpoint").read_text(),
        "Tiles": tiles,
        "Inclusion": inclusion,
        "Consistency": [],
    }
    request = {"Theirs": theirs, "Signer": THEIRS.secret_text, "Origin": ORIGIN, "Leaves": leaves}
    done = run(program, request)
    assert done.returncode == 0, done.stderr.decode()
    tiles["tile/0/000"] = bytes(32) + tiles["tile/0/000"][32:]
    assert run(program, request).returncode == 1


def read_leaves_of(database: Database, size: int) -> list[bytes]:
    with connect(database.url, application_name="test") as connection:
        return read_leaves(connection, 1, 0, size)


@pytest.mark.parametrize("part", ["note", "tile", "inclusion", "consistency"])
def test_go_refuses_what_was_changed(program: Path, leaves: list[bytes], stored: Stored, part: str) -> None:
    request = asked(leaves, stored)
    theirs = request["Theirs"]
    if part == "note":
        theirs["Note"] = theirs["Note"].replace(str(SIZE), str(SIZE + 1), 1)
    elif part == "tile":
        theirs["Tiles"]["tile/0/000"] = bytes(32) + theirs["Tiles"]["tile/0/000"][32:]
    elif part == "inclusion":
        theirs["Inclusion"][-1]["Proof"][0] = bytes(32)
    else:
        theirs["Consistency"][-2]["Proof"][0] = bytes(32)
    assert run(program, request).returncode == 1
