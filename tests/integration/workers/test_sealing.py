"""The page about sealing as it is written, and `daybook restored` of a log that is sealed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from eventstore.log.read import read_head
from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.merkle import consistency_proof, verify_consistency
from eventstore.proof.notes import parse_verifier
from eventstore.proof.store import covering_checkpoint, last_checkpoint, read_keys, tile_reader
from eventstore.proof.tiles import reader_of
from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment
from tests.support.ledger import fold, ledger_on, opening
from tests.support.postgres import Database
from tests.support.sealing import ORIGIN, PACE, sealing_on
from workers.proof.sealer import SealError
from workers.verify.tree import check_tree

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "seal-the-log.md"
SEALER = """
daybook seal 2>messages &
SEALER=$!
trap 'kill $SEALER' EXIT
until grep -q "sealing the log" messages; do kill -0 $SEALER; done
"""
"""What the page says to run, beside its other commands."""
NEXT = "daybook.example/after-the-restore"


def test_the_commands_of_the_page(database18: Database, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    key, origin, *others = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert "```console\ndaybook seal\n```" in text
    with ledger_on(database18) as ledger:
        ledger.account(100)
    fold(database18)
    program = tmp_path / "programs" / "daybook"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workers.cli "$@"\n')
    program.chmod(0o755)
    wait = "until daybook export tiles first; do kill -0 $SEALER; done\n"
    script = "\n".join([key, origin, SEALER, wait, *others])
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment(database18, PATH=path, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "proof.key").stat().st_mode & 0o077 == 0, "nobody else can read the key"
    name = "daybook.example.com/v1/proof"
    with psycopg.connect(database18.url) as connection:
        head = read_head(connection, "main").position
        [stored] = read_keys(connection, 1)
    known = [parse_verifier(stored.verifier)]
    note = (tmp_path / "public" / "checkpoint").read_bytes()
    assert open_checkpoint(note, name, known).checkpoint.size == head
    assert str(known[0]) in (tmp_path / "messages").read_text(), "the public key is shown"
    assert f"{head:,} events" in done.stdout, "of which all are sealed"


def sealed(database: Database, origin: str = ORIGIN) -> int:
    """Append an event and seal it. Returns the size of the checkpoint."""
    with ledger_on(database) as ledger:
        ledger.accepted(opening())
    with sealing_on(database, origin=origin, window=1_000) as sealing:
        last = sealing.last()
        if last is not None:
            sealing.now = last.signed_at + PACE
        assert sealing.sealer().turn()
        last = sealing.last()
        assert last is not None
        return last.size


def epoch(database: Database) -> int:
    with psycopg.connect(database.url) as connection:
        return read_head(connection, "main").epoch


def test_a_sealed_log_that_was_restored_goes_on_under_another_name(database18: Database) -> None:
    old = sealed(database18)
    env = environment(database18)
    refused = daybook("restored", env=env)
    assert refused.returncode == 3
    message = " ".join(refused.stderr.split())
    assert f"the log is sealed as {ORIGIN}, up to position {old}" in message
    assert "--origin" in message
    assert epoch(database18) == 1, "nothing is half done"

    done = daybook("restored", "--origin", NEXT, env=env)
    assert done.returncode == 0, done.stderr
    assert f"from now on they are of {NEXT}" in " ".join(done.stdout.split())
    assert epoch(database18) == 2
    with sealing_on(database18) as sealing, pytest.raises(SealError, match=f"DAYBOOK_PROOF_ORIGIN to {NEXT}"):
        sealing.sealer()

    new = sealed(database18, NEXT)
    assert new > old
    with psycopg.connect(database18.url) as connection:
        keys = [parse_verifier(key.verifier) for key in read_keys(connection, 1)]
        assert [key.name for key in keys] == [ORIGIN, NEXT]
        assert [key.size for key in read_keys(connection, 1)] == [0, old]
        before, after = covering_checkpoint(connection, 1, old), last_checkpoint(connection, 1)
        assert before is not None
        assert after is not None
        first = open_checkpoint(before.note.encode(), ORIGIN, keys[:1]).checkpoint
        second = open_checkpoint(after.note.encode(), NEXT, keys[1:]).checkpoint
        proof = consistency_proof(old, new, reader_of(new, tile_reader(connection, 1)))
        verify_consistency(old, new, first.root, second.root, proof)
        assert check_tree(connection, 1).findings == ()

    for name in (ORIGIN, NEXT, "a b"):
        refused = daybook("restored", "--origin", name, env=env)
        assert refused.returncode == 3
        assert "never used" in refused.stderr or "cannot be named" in refused.stderr
    assert epoch(database18) == 2


def test_the_name_stays_if_nothing_was_sealed_since(database18: Database) -> None:
    old = sealed(database18)
    env = environment(database18)
    assert daybook("restored", "--same-origin", "--origin", NEXT, env=env).returncode == 2
    assert daybook("restored", "--same-origin", env=env).returncode == 0
    assert epoch(database18) == 2
    assert sealed(database18) > old


def test_a_log_that_is_not_sealed_has_no_name_to_change(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        ledger.account()
    env = environment(database18)
    refused = daybook("restored", "--origin", NEXT, env=env)
    assert refused.returncode == 3
    assert "is not sealed: leave --origin out" in " ".join(refused.stderr.split())
    assert daybook("restored", env=env).returncode == 0
