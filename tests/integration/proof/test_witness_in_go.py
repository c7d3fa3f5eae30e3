"""An independent implementation agrees about cosignatures: that of the witnesses of transparency.dev.

`tests/support/witness_in_go` is the program. Without Go the test is left out, which CI does not allow.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.cosignatures import Witness, signed_at
from eventstore.proof.notes import COSIGNATURE, Signer, Verifier
from tests.support.witnessing import BEGIN, LOG, NAME, WITNESS, MemoryLog, witness_on

PROGRAM: Final = Path(__file__).parents[2] / "support" / "witness_in_go"
SECONDS: Final = 300
THEIRS: Final = Signer("theirs.example/witness", b"t" * 32, COSIGNATURE)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed (Debian: apt-get install golang-go)")
    built = tmp_path_factory.mktemp("go") / "witness"
    subprocess.run([go, "build", "-o", built, "."], cwd=PROGRAM, check=True, timeout=SECONDS)
    return built


def run(program: Path, note: str) -> subprocess.CompletedProcess[bytes]:
    """The program takes keys of the type 01 and makes those of a witness of them."""
    request = {
        "Log": str(LOG.verifier),
        "Witness": str(Verifier(NAME, WITNESS.verifier.key)),
        "Note": note,
        "Signer": Signer(THEIRS.name, THEIRS.seed).secret_text,
    }
    return subprocess.run(
        [program], input=json.dumps(request).encode(), capture_output=True, timeout=SECONDS, check=False
    )


def test_go_verifies_our_cosignature_and_we_verify_theirs(program: Path, tmp_path: Path) -> None:
    log = MemoryLog(extensions=("daybook.heads.v1 1 AAAA",))
    with witness_on(tmp_path) as witness:
        line = witness.asked(log.request(0, 7)).text
    note = log.note(7).decode() + line
    done = run(program, note)
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    assert datetime.fromtimestamp(answer["Time"], UTC) == BEGIN
    opened = open_checkpoint(answer["Note"].encode(), LOG.name, [Witness(THEIRS.verifier)])
    assert opened.checkpoint.size == 7
    assert opened.checkpoint.extensions == log.extensions
    [theirs] = opened.note.verified
    assert abs(signed_at(theirs) - datetime.now(UTC)) < timedelta(seconds=SECONDS)

    for old, new in (("\n7\n", "\n8\n"), ("heads.v1 1", "heads.v1 2"), (line, line.replace(line[-30], "_"))):
        assert old in note
        assert run(program, note.replace(old, new)).returncode == 1
