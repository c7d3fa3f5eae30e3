"""A shipped event version keeps its form. What says nothing about the form may change."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from workers import reference
from workers.contract.compatibility import (
    IncompatibleError,
    differences,
    form,
    incompatible,
    read_shipped,
    shipped_with,
)
from workers.contract.event_schemas import Schema, event_schemas

NOW: Final = event_schemas()
NAME: Final = "order.placed.v2"
Change = Callable[[Schema], object]


def changed(change: Change, name: str = NAME) -> dict[str, Schema]:
    """The schemas after a change of one."""
    schemas = deepcopy(NOW)
    change(schemas[name])
    return schemas


def fields(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"]
    return found


def line(schema: Schema) -> Schema:
    found: Schema = schema["$defs"]["PlacedLine"]
    return found


def rename(schema: Schema) -> None:
    fields(schema)["buyer"] = fields(schema).pop("customer")
    schema["required"] = sorted(fields(schema))


def add(schema: Schema, *, required: bool) -> None:
    fields(schema)["channel"] = {"type": ["string", "null"]}
    schema["required"] += ["channel"] if required else []


def test_what_was_shipped_is_what_is_declared() -> None:
    """It fails after a change of a shipped version, and where a new version was not added by `make reference`."""
    shipped = read_shipped()
    assert list(incompatible(NOW, shipped)) == []
    assert shipped == shipped_with(NOW, shipped), "workers/contract/shipped.json is not up to date: run make reference"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda schema: fields(schema).pop("total"), "field total was removed or renamed"),
        (rename, "field buyer was added or renamed; field customer was removed or renamed"),
        (lambda schema: add(schema, required=True), "field channel was added or renamed"),
        (lambda schema: add(schema, required=False), "field channel was added or renamed"),
        (
            lambda schema: fields(schema)["total"].update(type="string"),
            'field total has type "string", and had type "integer"',
        ),
        (
            lambda schema: fields(schema)["total"].update(type=["integer", "null"]),
            'field total has type ["integer","null"], and had type "integer"',
        ),
        (
            lambda schema: fields(schema)["reference"].update(type="string"),
            'field reference has type "string", and had type ["string","null"]',
        ),
        (
            lambda schema: fields(schema)["customer"].update(format="uuid"),
            'field customer has format "uuid", and had no format',
        ),
        (lambda schema: schema["required"].remove("total"), "field total became optional"),
        (lambda schema: fields(schema)["names"].pop("x-personal"), "field names is no longer sealed"),
        (lambda schema: fields(schema)["reference"].update({"x-personal": True}), "field reference is sealed"),
        (
            lambda schema: schema.update({"x-subject": "reference"}),
            'the payload has x-subject "reference", and had x-subject "customer"',
        ),
        (
            lambda schema: schema.update(additionalProperties=True),
            "the payload has additionalProperties true, and had additionalProperties false",
        ),
        (
            lambda schema: fields(schema)["metadata"].update(additionalProperties={"type": "integer"}),
            'field metadata[] has type "integer", and had type "string"',
        ),
        (lambda schema: line(schema)["properties"].pop("sku"), "field lines[].sku was removed or renamed"),
        (
            lambda schema: line(schema)["properties"]["quantity"].update(type="string"),
            'field lines[].quantity has type "string", and had type "integer"',
        ),
        (
            lambda schema: fields(schema)["currency"].update({"x-extensible-enum": ["EUR"]}),
            "field currency was any text, and is one of a list",
        ),
    ],
)
def test_a_change_of_the_form_is_refused(change: Change, what: str) -> None:
    [sentence] = incompatible(changed(change), NOW)
    assert sentence.startswith(f"{NAME} was shipped, and stored events never change: {what}. Give the event a new name")
    assert "order.placed.v3" in sentence
    assert "`upcast`" in sentence


def test_a_field_that_became_required_is_refused() -> None:
    optional = changed(lambda schema: schema["required"].remove("total"))
    [sentence] = incompatible(NOW, optional)
    assert "field total became required" in sentence


def test_a_value_that_was_lost_is_refused() -> None:
    lost = changed(lambda schema: fields(schema)["kind"]["x-extensible-enum"].remove("fee"), "transaction.posted.v1")
    [sentence] = incompatible(lost, NOW)
    assert "field kind lost the value fee" in sentence


def test_a_version_that_is_missing_is_refused() -> None:
    schemas = {name: schema for name, schema in NOW.items() if name != "order.placed.v1"}
    [sentence] = incompatible(schemas, NOW)
    assert sentence.startswith("order.placed.v1 was shipped, and stored events never change: it is no longer declared.")
    with pytest.raises(IncompatibleError, match="no longer declared"):
        shipped_with(schemas, NOW)


def test_a_change_within_a_value_that_can_be_null_is_refused() -> None:
    def schema(kind: str) -> Schema:
        part = {"type": "object", "properties": {"price": {"type": kind}}}
        field = {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]}
        return {"properties": {"part": field}, "$defs": {"Part": part}}

    assert list(differences(schema("integer"), schema("integer"))) == []
    assert list(differences(schema("integer"), schema("string"))) == [
        'field part.price has type "string", and had type "integer"'
    ]
    other = schema("integer")
    other["properties"]["part"]["anyOf"].pop()
    assert ["anyOf" in one for one in differences(schema("integer"), other)] == [True]


def rename_definition(schema: Schema) -> None:
    schema["$defs"]["Line"] = schema["$defs"].pop("PlacedLine")
    fields(schema)["lines"]["items"] = {"$ref": "#/$defs/Line"}


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema.update(title="Another", description="Other words."),
        lambda schema: fields(schema)["total"].update(description="Other words."),
        lambda schema: line(schema).update(description="Other words."),
        lambda schema: schema.update(properties=dict(reversed(fields(schema).items()))),
        rename_definition,
    ],
)
def test_other_words_are_accepted(change: Change) -> None:
    assert list(incompatible(changed(change), {name: form(schema) for name, schema in NOW.items()})) == []


def test_another_value_is_accepted_and_kept_from_then_on() -> None:
    more = changed(lambda schema: fields(schema)["kind"]["x-extensible-enum"].append("bonus"), "transaction.posted.v1")
    shipped = shipped_with(more, NOW)
    assert any("lost the value bonus" in sentence for sentence in incompatible(NOW, shipped))


def test_a_new_version_is_accepted_and_kept_from_then_on() -> None:
    before = {name: schema for name, schema in read_shipped().items() if name != NAME}
    assert shipped_with(NOW, before) == read_shipped()


def test_a_field_may_have_the_name_of_a_keyword() -> None:
    """`description` is a field of a transaction, and not only a keyword."""
    gone = changed(lambda schema: fields(schema).pop("description"), "transaction.posted.v1")
    [sentence] = incompatible(gone, {name: form(schema) for name, schema in NOW.items()})
    assert "field description was removed or renamed" in sentence


def test_a_value_that_contains_itself_is_compared_once() -> None:
    change = changed(lambda schema: schema["$defs"]["Figure"].update(type="string"), "command.refused.v1")
    [sentence] = incompatible(change, NOW)
    assert sentence.count("figures[]") == 1


def test_make_reference_refuses_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = changed(lambda schema: fields(schema)["total"].update(type="string"))
    monkeypatch.setattr(reference, "read_shipped", lambda: shipped)
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "shipped.json")
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match=r"order\.placed\.v2 was shipped.*order\.placed\.v3"):
        reference.main()
    assert list(tmp_path.iterdir()) == []
