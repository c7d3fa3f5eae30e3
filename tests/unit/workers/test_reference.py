"""The reference pages match the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.gateway.routes import RouteTable
from api.registry import routes
from domain.kernel import Event, Personal, Value
from domain.registry import AGGREGATES, CATALOGUE, RULES, commands
from workers import reference
from workers.contract.event_schemas import fields

PAGES = reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_up_to_date(name: str) -> None:
    committed = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert committed == PAGES[name], f"docs/reference/{name} is not up to date: run make reference"


def test_all_pages_are_written(tmp_path: Path) -> None:
    reference.write(tmp_path)
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*") if file.is_file()} == PAGES.keys()


@pytest.mark.parametrize("kind", [entry.event for entry in CATALOGUE if entry.event is not None])
def test_each_event_has_a_docstring(kind: type[Event]) -> None:
    assert kind.__dict__.get("__doc__"), f"{kind.__name__} needs a docstring: the reference quotes it"


@pytest.mark.parametrize("kind", commands())
def test_each_command_has_a_docstring(kind: type) -> None:
    assert kind.__dict__.get("__doc__"), f"{kind.__name__} needs a docstring"


def test_each_role_that_opens_a_route_has_a_column() -> None:
    roles = {role for one in RouteTable(routes()).routes for role in one.declaration.may}
    assert roles - {"public"} == set(reference.WHO.values())


def test_there_are_no_schemas_of_other_versions() -> None:
    """A version that is no longer declared would leave its file behind."""
    folders = {str(file.relative_to(reference.FOLDER)) for file in reference.FOLDER.glob("*/*")}
    assert folders == {name for name in PAGES if "/" in name}


def test_events_rules_and_their_aggregates_are_listed() -> None:
    assert [entry.name for entry in CATALOGUE if f"### {entry.name}\n" not in PAGES["events.md"]] == []
    assert [one.name for one in AGGREGATES if f"## {one.name}\n" not in PAGES["events.md"]] == []
    assert [rule for rule in RULES if f"| `{rule}` |" not in PAGES["rules.md"]] == []


class Part(Value, frozen=True):
    """A part."""

    price: int


class Thing(Event, frozen=True):
    """A thing."""

    title: Personal | None
    parts: tuple[Part, ...]


def test_types_are_words() -> None:
    hints = fields(Thing)
    assert reference.in_words(hints["title"], personal=True) == "text or null"
    assert reference.in_words(hints["parts"]) == "list of Part"
    assert list(reference.values_in(hints["parts"])) == [Part]
