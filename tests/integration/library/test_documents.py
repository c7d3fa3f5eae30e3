"""Executes documentation: the README of the library on the log of Daybook, and the how-to of Daybook."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from eventsourcing.utils import clear_topic_cache

from tests.integration.library.support import log_of
from tests.support.postgres import Database

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "use-the-library.md"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A real module, because the library finds event classes by the name of their module."""
    fresh = ModuleType("a_document")
    sys.modules[fresh.__name__] = fresh
    yield fresh
    del sys.modules[fresh.__name__]
    clear_topic_cache()


def execute(source: str, module: ModuleType) -> None:
    exec(compile(source, module.__name__, "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def test_the_readme_of_the_library_runs(
    environment: dict[str, str], shared_database: Database, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = blocks(distribution("eventsourcing").read_text("METADATA") or "", "python")
    # The README runs its test in memory, then with SQLite. Here the second run uses Daybook.
    assert ["PERSISTENCE_MODULE" in block for block in readme] == [False, False, False, False, True, False]
    monkeypatch.delenv("PERSISTENCE_MODULE")
    for block in readme:
        if "PERSISTENCE_MODULE" in block:
            assert log_of(shared_database, environment, "dogschool") == []
            monkeypatch.setenv("PERSISTENCE_MODULE", environment["PERSISTENCE_MODULE"])
        else:
            execute(block, module)
    assert log_of(shared_database, environment, "dogschool") == [
        "a_document:Dog.Registered",
        "a_document:Dog.TrickAdded",
        "a_document:Dog.TrickAdded",
    ]


def test_the_how_to_runs(environment: dict[str, str], shared_database: Database, module: ModuleType) -> None:
    text = HOW_TO.read_text(encoding="utf-8")
    with psycopg.connect(shared_database.url, autocommit=True) as connection:
        for statements in blocks(text, "sql"):
            connection.execute(statements.encode())
    for block in blocks(text, "python"):
        execute(block, module)
    assert len(log_of(shared_database, environment, "dogschool")) == 3
