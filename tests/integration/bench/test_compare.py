"""Compares this tree with its revision, with very short measurements, through every step of the comparison."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.compare.command import compare, main, table
from bench.compare.measuring import FIGURES, Sizes
from bench.compare.program import CompareError, program_in

TINY = Sizes(pairs=1, accounts=5, connections=2, slices=2, transfers=10, batches=1, batch_size=10, folded=20)


def test_this_tree_is_compared_with_its_revision() -> None:
    printed = Console(file=io.StringIO(), width=120)
    compared = compare("HEAD", TINY, printed)
    assert [one.figure for one in compared] == list(FIGURES)
    assert all(rate > 0 for one in compared for rate in one.rounds[0])
    printed.print(table(compared))
    assert isinstance(printed.file, io.StringIO)
    assert all(figure in printed.file.getvalue() for figure in FIGURES)


def test_an_unknown_revision_is_named_in_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-revision", "--quick"]) == 3
    assert "no-such-revision is not a revision of" in capsys.readouterr().err


def test_code_of_another_folder_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nscripts = {daybook = "workers.cli:main"}\n')
    with pytest.raises(CompareError, match="workers of mine was found in"):
        program_in("mine", tmp_path)
