"""The files around the code: licence, changelog, editor, CI and the hooks before a commit."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
MOST: Final = 72


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def hooks() -> dict[str, dict[str, Any]]:
    [local] = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    return {hook["id"]: hook for hook in local["hooks"]}


def commands_of(*targets: str) -> set[str]:
    """The commands of these targets of the Makefile, with the folder of the tools."""
    found: set[str] = set()
    for target in targets:
        block = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text("Makefile"), re.MULTILINE)
        assert block is not None, target
        found |= {line.strip().replace("$(BIN)", ".venv/bin") for line in block[1].splitlines()}
    return found


def test_the_licence_is_mit() -> None:
    assert text("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 Daybook contributors\n")
    assert tomllib.loads(text("pyproject.toml"))["project"]["license"] == "MIT"


def test_the_changelog_begins_with_unreleased_changes() -> None:
    sections = re.findall(r"^## \[(.+?)\]", text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert tomllib.loads(text("pyproject.toml"))["project"]["version"] in sections
    kinds = set(re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_editor_breaks_lines_where_ruff_does() -> None:
    length = tomllib.loads(text("pyproject.toml"))["tool"]["ruff"]["line-length"]
    assert f"max_line_length = {length}\n" in text(".editorconfig")


def test_the_workflow_runs_every_check_of_ci() -> None:
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    steps = workflow["jobs"]["check"]["steps"]
    assert ".ci/run" in {step.get("run") for step in steps}
    [python] = [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
    assert python == tomllib.loads(text("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")


def test_the_hooks_run_what_lint_and_types_run() -> None:
    entries = {hook["entry"] for hook in hooks().values() if "stages" not in hook}
    assert entries == commands_of("lint", "types")


def checked(subject: str, folder: Path) -> subprocess.CompletedProcess[str]:
    hook = hooks()["commit-subject"]
    assert hook["stages"] == ["commit-msg"]
    message = folder / "message"
    message.write_text(f"# a comment of git\n{subject}\n\nA body may be longer.\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C"}
    command = [ROOT / hook["entry"], message]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("subject", ["A", "x" * MOST, "é" * MOST])
def test_a_subject_of_72_characters_is_accepted(subject: str, tmp_path: Path) -> None:
    assert checked(subject, tmp_path).returncode == 0


def test_a_longer_subject_is_refused_with_its_length(tmp_path: Path) -> None:
    refused = checked("x" * (MOST + 1), tmp_path)
    assert refused.returncode == 1
    assert f"has {MOST + 1} characters; at most {MOST}" in refused.stderr


def test_a_message_without_a_subject_is_refused(tmp_path: Path) -> None:
    assert checked("", tmp_path).returncode == 1
