"""The pages about text accounting and exported views: their commands are executed as written."""

from __future__ import annotations

from pathlib import Path

import orjson

from tests.integration.workers.running import ROOT, daybook, environment, run_page
from tests.support.ledger import fold
from tests.support.postgres import Database

PAGES = ROOT / "docs" / "howto"


def test_the_commands_of_the_pages_do_what_they_say(database18: Database, tmp_path: Path) -> None:
    text, views = tmp_path / "text", tmp_path / "views"
    text.mkdir()
    views.mkdir()
    done = run_page(PAGES / "text-accounting.md", text, environment(database18))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 transactions can be imported as shop." in done.stdout
    assert "7 accounts, 3 transactions; 0 were there already." in done.stdout
    assert "3 accounts, 3 transactions; 0 were there already." in done.stdout
    assert done.stdout.count("equal, 0 not.") == 2
    assert "opening balance" not in (text / "books.journal").read_text(), "texts are left out"

    assert daybook("rebuild", env=environment(database18)).returncode == 3, "a projector has not run yet"
    fold(database18)
    done = run_page(PAGES / "export-views.md", views, environment(database18))
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = orjson.loads((views / "tuesday" / "manifest.json").read_bytes())
    assert manifest["after"] == manifest["position"] > 0
    assert sum(view["rows"] for view in manifest["views"]) == 0, "nothing changed since"
