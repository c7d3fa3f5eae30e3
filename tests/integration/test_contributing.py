"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.postgres import server_folder
from tests.support.recipes import Recipe, changed, copy_repository, follow, recipe

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COMMAND: Final = recipe(PAGE, "A new command with its event")
AGGREGATE: Final = recipe(PAGE, "A new aggregate with read model and routes")
PATIENCE_SECONDS: Final = 2_400


@pytest.mark.parametrize(
    ("followed", "files", "lines"), [(COMMAND, 5, 70), (AGGREGATE, 6, 460)], ids=["command", "aggregate"]
)
def test_a_recipe_stays_short(followed: Recipe, files: int, lines: int) -> None:
    assert 0 < followed.files <= files
    assert 0 < followed.lines <= lines


def test_the_recipes_work_in_a_copy() -> None:
    with server_folder() as folder:
        follow_both(folder / "daybook")


def follow_both(copy: Path) -> None:
    copy_repository(ROOT, copy, Path(sys.prefix))
    for followed in (COMMAND, AGGREGATE):
        follow(followed.changes, copy)
    # What both name is run once.
    commands = dict.fromkeys((COMMAND.commands + AGGREGATE.commands).splitlines())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", "\n".join(commands)],
        cwd=copy,
        env={**environment, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert "POST /v1/orders/{order}/notes" in (copy / "docs/reference/permissions.md").read_text(encoding="utf-8")
    assert "### voucher.issued.v1" in (copy / "docs/reference/events.md").read_text(encoding="utf-8")


def test_a_change_that_fits_nowhere_or_twice_is_an_error() -> None:
    assert changed("a\nb\n\nc\n", " b\n\n+new\n c\n") == "a\nb\n\nnew\nc\n"
    assert changed("a\nb\nc\n", "-a\n+A\n@@\n+B\n c\n") == "A\nb\nB\nc\n"
    for source in ("x\n", "a\na\n"):
        with pytest.raises(ValueError, match="not once"):
            changed(source, " a\n+b\n")
