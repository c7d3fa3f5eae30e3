"""Codes and metadata: neither a sentence nor an e-mail address is one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.codes import (
    CODE,
    METADATA_KEY,
    MOST_CODE,
    MOST_METADATA_KEY,
    MOST_PAIRS,
    refuse_metadata,
    refuse_other_than_code,
)
from domain.kernel import Refused
from domain.registry import CATALOGUE, commands
from tests.samples.registry import history
from tests.samples.store import UNITS
from tests.support.memory_ledger import MemoryLedger

CODES = ["a", "0", "Z", "owner-1", "client:42", "inv/2026.1#3", "a+b_c", "x" * MOST_CODE]
OTHERS = ["", " ", "a b", "ada@example.com", "-a", ".a", "a\n", "\na", "ä", "a\u0660", "a,b", "x" * (MOST_CODE + 1)]


@pytest.mark.parametrize("text", CODES)
def test_a_code(text: str) -> None:
    assert refuse_other_than_code("owner", text) is None
    assert re.search(CODE, text) is not None, "the pattern alone says the same"


@pytest.mark.parametrize("text", OTHERS)
def test_a_text_that_is_no_code(text: str) -> None:
    refusal = refuse_other_than_code("owner", text)
    assert refusal == Refused("not_a_code", {"field": "owner", "most": MOST_CODE})
    assert text not in refusal.figures.values(), "it may be about a person"


def test_a_field_without_a_code() -> None:
    assert refuse_other_than_code("reference", None) is None


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({}, None),
        ({f"k{n}": "v" for n in range(MOST_PAIRS)}, None),
        ({f"k{n}": "v" for n in range(MOST_PAIRS + 1)}, "metadata_pairs"),
        ({"k" * MOST_METADATA_KEY: "v" * MOST_CODE}, None),
        ({"k" * (MOST_METADATA_KEY + 1): "v"}, "not_a_code"),
        ({"k": "v" * (MOST_CODE + 1)}, "not_a_code"),
        ({"": "v"}, "not_a_code"),
        ({"k": ""}, "not_a_code"),
        ({"a key": "v"}, "not_a_code"),
        ({"good": "1", "k": "two words"}, "not_a_code"),
    ],
)
def test_metadata(metadata: Mapping[str, str], rule: str | None) -> None:
    refusal = refuse_metadata(metadata)
    assert (refusal and refusal.rule) == rule
    keys_fit = all(re.search(METADATA_KEY, key) for key in metadata)
    assert keys_fit or rule is not None


def test_every_command_with_a_code_is_refused_for_another_text() -> None:
    """Each command of a random life that is accepted is refused with another text in any of its codes."""
    tried = set()

    class Trying(MemoryLedger):
        def execute(self, command: Any) -> Any:
            if self.decide(command).outcome == "accepted":
                for field in _codes_of(command):
                    tried.add((type(command), field))
                    refusal = self.decide(replace(command, **{field: "ada@example.com"}))
                    assert isinstance(refusal, Refused), (command, field)
                    assert (refusal.rule, refusal.figures["field"]) == ("not_a_code", field)
            return super().execute(command)

    list(history(Trying(), Random(1), UNITS))
    assert {(kind, field) for kind in commands() for field in _codes_of(kind)} == tried


def test_events_name_their_codes() -> None:
    """Every field of a new event with the name of a code is declared, so that `verify` looks at it."""
    introduced = {"account.opened.v1", "order.placed.v2", "post.drafted.v1", "account.hold_placed.v2"}
    of_persons = {"account.owner_added.v1", "account.mandate_given.v1", "quote.given.v1"}
    for entry in CATALOGUE:
        if entry.event is not None:
            names = {"reference", "metadata", "template", "purpose", "text_version", "action", "context", "ground"} | (
                {"owner", "customer", "author"} if entry.name in introduced else set()
            )
            names |= {"person"} if entry.name in of_persons else set()
            names -= {"action"} if entry.name == "account.assessed.v1" else set()  # one of a list, not a text
            names |= {"name"} if entry.name == "period.closed.v1" else set()
            names -= {"template"} if entry.name.startswith("mail.") else set()  # one of a list, not a text
            names |= {"statement"} if entry.name == "reconciliation.opened.v1" else set()
            names |= {"source"} if entry.name == "rate.set.v1" else set()
            assert set(entry.codes) == names & set(entry.event.__struct_fields__), entry.name


def _codes_of(command: Any) -> tuple[str, ...]:
    """The fields with codes of a command, or of its class. The person that a command of people is about is a stream."""
    names: tuple[str, ...] = command.__struct_fields__
    is_of_people = command.__module__.startswith("domain.people.")
    codes = ("owner", "customer", "author", *(() if is_of_people else ("person",)), "reference")
    return tuple(name for name in codes if name in names)
