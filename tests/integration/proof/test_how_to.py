"""The page about witnesses: its commands are executed as written, by an auditor and an owner on one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.cosignatures import Witness
from eventstore.proof.heads import HEADS
from eventstore.proof.notes import Verifies, parse_verifier
from tests.integration.workers.running import PATIENCE_SECONDS, environment
from tests.support.pages import HOW_TO, OF_MAKE_RUN
from tests.support.postgres import Database
from tests.support.sealing import ORIGIN, sealing_on
from tests.support.service import TOKENS, Service, service_on
from workers.clock_and_ids import now
from workers.ports import free_port

ROOT = Path(__file__).parents[3]
PAGE = HOW_TO / "run-a-witness.md"


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    with service_on(database) as running:
        yield running


def test_the_commands_of_the_page_do_what_it_says(database: Database, service: Service, tmp_path: Path) -> None:
    service.account("5.00")
    with sealing_on(database, now=now()) as sealing:  # the witness has the clock of this machine
        sealing.sealer().turn()
        last = sealing.last()
    assert last is not None
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    program = tmp_path / "bin" / "daybook"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workers.cli "$@"\n')
    program.chmod(0o755)
    env = environment(database)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    blocks = blocks.replace(OF_MAKE_RUN, str(service.http.base_url)).replace("8200", str(free_port()))
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", blocks],
        cwd=tmp_path,
        env=env | {"PATH": f"{program.parent}:{env['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    printed = done.stdout
    assert done.returncode == 0, f"{printed}{done.stderr}"
    [key] = set(re.findall(r'"key":"([^"]*)","size"', printed))
    keys = [*(parse_verifier(one["key"]) for one in service.get("proof/keys").json()["items"])]
    both: list[Verifies] = [*keys, Witness(parse_verifier(key))]
    notes = re.findall(rf"^({ORIGIN}\n[0-9]+\n\S+\n(?:{HEADS} .*\n)?\n(?:— .*\n){{2}})", printed, re.MULTILINE)
    assert len(notes) == 2, f"that of the owner and that of the witness: {printed}"
    for note in notes:
        opened = open_checkpoint(note.encode(), ORIGIN, both)
        assert (opened.checkpoint.size, len(opened.note.verified)) == (last.size, 2)
    assert f"witness {key}\nlog {ORIGIN}: {last.size} leaves, cosigned at " in printed
    assert (tmp_path / "witness" / "witness.sqlite").exists()
