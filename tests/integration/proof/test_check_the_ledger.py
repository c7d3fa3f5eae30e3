"""The auditor's page: the owner's commands and the auditor's are executed as the page writes them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventstore.proof.cosignatures import cosign
from eventstore.proof.notes import COSIGNATURE, Signer, parse_note
from eventstore.proof.store import StoredCheckpoint
from eventstore.proof.witnesses import keep_cosignature
from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment
from tests.support.ledger import fold, ledger_on, transfer
from tests.support.pages import HOW_TO
from tests.support.postgres import Database, Server
from tests.support.sealing import HEADS_PACE, KEY, ORIGIN, Sealing, sealing_on
from workers import daybook_verify

PAGE = (HOW_TO / "check-the-ledger.md").read_text(encoding="utf-8")
PROGRAM = Path(daybook_verify.__file__)
KEY_OF_PAGE, WITNESS_OF_PAGE = "ledger.example/main+1f2e3d4c+AQ…", "auditor.example+0a1b2c3d+BA…"
WITNESS = Signer("auditor.example", b"w" * 32, COSIGNATURE)
KEPT, NEW = "head-of-last-year.txt", "head.txt"
KINDS = ["log", "statement", "stream", "command", "event"]
"""The files of the page, by name."""


@dataclass(frozen=True)
class Asked:
    """A sealed ledger, and what an auditor asks its owner for."""

    database: Database
    kept: StoredCheckpoint  # of last year
    account: str
    position: int

    def owner(self, kind: str, folder: Path) -> None:
        """Run the owner's command for a file of this kind, as the page writes it."""
        [line] = re.findall(rf"\| `daybook ([^`]* --output {kind}\.jsonl)` \|", PAGE)
        given = {"ACCOUNT": self.account, "KEY": "rent", "POSITION": str(self.position)}
        yesterday, tomorrow = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
        given |= {"2026-11-01": f"{yesterday:%F}", "2026-11-30": f"{tomorrow:%F}"}
        words = [given.get(word, word) for word in line.split()]
        words[-1] = str(folder / words[-1])
        if kind != "log":
            assert "ask for `--since 1234` as well" in PAGE
            words += ["--since", str(self.kept.size)]
        if kind == "command":
            words += ["--actor", "tester"]
        done = daybook(*words, env=environment(self.database))
        assert done.returncode == 0, done.stdout + done.stderr


def seal(sealing: Sealing) -> StoredCheckpoint:
    sealing.now += HEADS_PACE
    sealing.sealer().turn()
    last = sealing.last()
    assert last is not None
    return last


@pytest.fixture(scope="module")
def asked(postgres18: Server) -> Iterator[Asked]:
    begin = datetime.now(UTC) - 10 * HEADS_PACE  # so that nothing is from the future
    with (
        postgres18.database() as database,
        ledger_on(database) as ledger,
        sealing_on(database, now=begin, window=1_000) as sealing,
    ):
        account, other = ledger.account(10_000), ledger.account()
        kept = seal(sealing)
        position = ledger.execute(transfer(account, other, 800), key="rent").last_position
        assert position is not None
        last = seal(sealing)
        line = cosign(WITNESS, parse_note(last.note.encode()).text, sealing.now).line.removesuffix("\n")
        key = str(WITNESS.verifier)
        assert keep_cosignature(sealing.connection, sealing.log_number, key, last.size, line, sealing.now)
        fold(database)
        yield Asked(database, kept, account, position)


def audited(folder: Path, file: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run the auditor's command of the page on a file, with the one program and without Daybook beside it."""
    [command] = re.findall(r"```console\npython (daybook_verify\.py log\.jsonl.*?)```", PAGE, re.DOTALL)
    given = {
        "log.jsonl": file,
        KEY_OF_PAGE: str(Signer(ORIGIN, KEY).verifier),
        WITNESS_OF_PAGE: str(WITNESS.verifier),
        **changed,
    }
    words = [given.get(word, word) for word in command.replace("\\\n", " ").split()]
    shutil.copy(PROGRAM, folder)
    return subprocess.run(
        [sys.executable, "-I", *words],
        cwd=folder, env={}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_auditor_follows_the_page(asked: Asked, tmp_path: Path, kind: str) -> None:
    asked.owner(kind, tmp_path)
    (tmp_path / KEPT).write_text(asked.kept.note)
    done = audited(tmp_path, f"{kind}.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    *_, last = done.stdout.splitlines()
    assert f"\n{last}\n" in PAGE, "the page shows the last line"
    assert "the history continues the heads that you kept" in done.stdout
    assert "trust" not in done.stdout.partition("could not check:")[2], "nothing is left open about whom to believe"
    assert parse_note((tmp_path / NEW).read_bytes()).text != parse_note(asked.kept.note.encode()).text
    again = audited(tmp_path, f"{kind}.jsonl", **{KEPT: NEW, NEW: "newer.txt"})
    assert again.returncode == 0, "the head that was kept is that of this bundle"
    assert (tmp_path / "newer.txt").read_bytes() == (tmp_path / NEW).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_owners_key_the_page_does_not_end_well(asked: Asked, tmp_path: Path, kind: str) -> None:
    asked.owner(kind, tmp_path)
    (tmp_path / KEPT).write_text(asked.kept.note)
    for name, key in ((KEY_OF_PAGE, Signer(ORIGIN, b"x" * 32)), (WITNESS_OF_PAGE, Signer("w", b"x" * 32, COSIGNATURE))):
        done = audited(tmp_path, f"{kind}.jsonl", **{name: str(key.verifier)})
        assert done.returncode == 1, done.stdout + done.stderr
    assert not (tmp_path / NEW).exists(), "no head is kept of what does not hold"
