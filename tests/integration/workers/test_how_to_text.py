"""The pages about text accounting and exported views: their commands are executed as written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import orjson
import pytest

from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment
from tests.support.command_pages import run_page
from tests.support.ledger import fold
from tests.support.postgres import Database

PAGES = Path(__file__).parents[3] / "docs" / "howto"


def run(name: str, folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a page in a new folder. Returns what it prints."""
    folder.mkdir()
    env = environment(database)
    monkeypatch.chdir(folder)  # commands are run where the test is

    def command(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return daybook(*arguments, env=env)

    done = run_page(PAGES / name, folder, command, PATIENCE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_the_pages_do_what_they_say(
    database18: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, views = tmp_path / "text", tmp_path / "views"
    printed = run("text-accounting.md", text, database18, monkeypatch)
    assert "3 transactions can be imported as shop." in printed
    assert "7 accounts, 3 transactions; 0 were there already." in printed
    assert "3 accounts, 3 transactions; 0 were there already." in printed
    assert printed.count("equal, 0 not.") == 2
    assert "opening balance" not in (text / "books.journal").read_text(), "texts are left out"

    fold(database18)
    run("export-views.md", views, database18, monkeypatch)
    manifest = orjson.loads((views / "tuesday" / "manifest.json").read_bytes())
    assert manifest["after"] == manifest["position"] > 0
    assert sum(view["rows"] for view in manifest["views"]) == 0, "nothing changed since"
