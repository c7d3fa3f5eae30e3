"""The schema of each event version fits its payloads as they are stored, and nothing just outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from random import Random
from typing import Any, Final

import jsonschema_rs
import orjson
import pytest

from domain.aggregate import Aggregate, EventType
from domain.kernel import ERASED, UNREADABLE, Event, Personal, PersonalTexts, Value
from domain.registry import CATALOGUE
from eventstore.keys.sealing import Sealer
from eventstore.log.codec import Codec
from tests.samples.registry import EVENTS, history
from tests.samples.sample import StoredEvent
from tests.samples.store import MASTER_KEY, keys
from tests.support.memory_ledger import MemoryLedger
from tests.support.schemas import errors
from workers.contract.event_schemas import event_schema, event_schemas

SCHEMAS: Final = event_schemas()
UNITS: Final = 300
sample = pytest.mark.parametrize("sample", EVENTS, ids=lambda sample: f"{sample.type}-{sample.version}")


def wrong(value: Any) -> Any:
    """A value of another type."""
    return 1.5 if value is None or isinstance(value, str | bool | int) else "text"


def outside(payload: Any) -> Iterator[tuple[str, Any]]:
    """Payloads that are just not this one, with what was done to them: one change each, at every depth."""
    yield from ((f"{path} added", changed) for path, changed in _changed(payload, _added))
    yield from ((f"{path} wrong", changed) for path, changed in _changed(payload, wrong))


def removed(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The payload without each of its fields."""
    return ((name, {key: value for key, value in payload.items() if key != name}) for name in payload)


def _changed(payload: Any, change: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inner = payload.items() if isinstance(payload, dict) else enumerate(payload) if isinstance(payload, list) else ()
    for key, value in inner:
        for where, other in _changed(value, change, f"{path}/{key}"):
            whole = deepcopy(payload)
            whole[key] = other
            yield where, whole
    changed = change(payload)
    if changed is not None:
        yield path or "/", changed


def _added(value: Any) -> Any:
    return {**value, "another": 1.5} if isinstance(value, dict) else None


@sample
def test_a_stored_payload_fits(sample: StoredEvent) -> None:
    assert errors(f"events/{sample.type}.json", orjson.loads(sample.payload)) == []


@sample
def test_a_payload_just_outside_is_refused(sample: StoredEvent) -> None:
    payload = orjson.loads(sample.payload)
    changed = [*outside(payload), *removed(payload)]
    assert [what for what, other in changed if not errors(f"events/{sample.type}.json", other)] == []
    assert len(changed) >= 2 + 2 * len(payload)


def test_every_version_has_a_schema_and_a_sample() -> None:
    assert SCHEMAS.keys() == {entry.name for entry in CATALOGUE} == {sample.type for sample in EVENTS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema_of_2020_12_with_an_id(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema_rs.Draft202012Validator(schema)
    assert jsonschema_rs.meta.is_valid(schema)
    assert schema["$id"] == f"urn:daybook:event:{name}"
    assert schema["title"] == name
    assert schema["description"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == schema["properties"].keys()


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_sealed_fields_and_their_person_are_marked(entry: EventType) -> None:
    schema = SCHEMAS[entry.name]
    marked = {name for name, field in schema["properties"].items() if field.get("x-personal")}
    assert marked == set(entry.personal)
    assert schema.get("x-subject") == entry.subject
    assert entry.subject is None or entry.subject in schema["properties"]


@pytest.mark.parametrize("name", [entry.name for entry in CATALOGUE if entry.personal])
def test_a_personal_text_in_clear_is_refused(name: str) -> None:
    payload = orjson.loads(next(sample.payload for sample in EVENTS if sample.type == name))
    [field, *_] = [field for field, schema in SCHEMAS[name]["properties"].items() if schema.get("x-personal")]
    for clear in ("Changed their mind", "Ada", ["a", "list"]):
        assert errors(f"events/{name}.json", {**payload, field: clear})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("account.opened.v1", "opened_on", "2026-02-30"),
        ("account.opened.v1", "opened_on", "yesterday"),
        ("post.scheduled.v1", "publish_at", "2026-01-01T25:00:00Z"),
        ("account.debited.v1", "amount", "1.00"),
        ("account.debited.v1", "amount", 0.5),
    ],
)
def test_a_value_of_the_right_type_and_another_form_is_refused(name: str, field: str, value: Any) -> None:
    payload = orjson.loads(next(sample.payload for sample in EVENTS if sample.type == name))
    [error] = errors(f"events/{name}.json", {**payload, field: value})
    assert error.startswith(f"['{field}']") or field in error


def test_what_the_codec_writes_today_fits() -> None:
    codec = Codec(CATALOGUE, Sealer(keys(), MASTER_KEY), ERASED, UNREADABLE)
    events = [event for unit in history(MemoryLedger(), Random(2), UNITS) for event in unit]
    names, payloads = codec.encode_all(events)
    found = [
        (name, wrong)
        for name, payload in zip(names, payloads, strict=True)
        if (wrong := errors(f"events/{name}.json", orjson.loads(payload)))
    ]
    assert found == []
    assert len(set(names)) > len(SCHEMAS) / 2


class Part(Value, frozen=True):
    """A part. It can have parts."""

    price: int
    parts: tuple[Part, ...]


class Thing(Event, frozen=True):
    """A thing.

    More about it.
    """

    owner: str
    title: Personal | None
    names: PersonalTexts
    part: Part | None
    count: int | str | None


class Odd(Event, frozen=True):
    """It has a fraction."""

    rate: float


def aggregate(entry: EventType) -> Aggregate:
    return Aggregate("thing", "thing_", (entry,), lambda state, event: state, amounts=frozenset({"price"}))


def test_types_have_their_form_in_json_schema() -> None:
    entry = EventType("thing.made.v1", Thing, "owner", ("title", "names"))
    schema = event_schema(aggregate(entry), entry)
    properties = schema["properties"]
    assert schema["description"] == "A thing."
    assert properties["title"]["type"] == ["string", "null"]
    assert properties["names"]["type"] == "string"
    assert properties["names"]["description"] == "A list of texts, sealed as one with the key of `owner`."
    assert properties["part"] == {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]}
    assert properties["count"] == {"type": ["integer", "string", "null"]}
    assert schema["$defs"]["Part"]["properties"]["parts"] == {"type": "array", "items": {"$ref": "#/$defs/Part"}}
    assert "minor units" in schema["$defs"]["Part"]["properties"]["price"]["description"]


def test_a_type_without_a_form_is_an_error() -> None:
    entry = EventType("odd.made.v1", Odd)
    with pytest.raises(ValueError, match="float"):
        event_schema(aggregate(entry), entry)


def test_an_old_version_declares_what_it_stored() -> None:
    entry = EventType("thing.made.v0", None, upcasts_to="thing.made.v1", upcast=lambda fields: fields)
    with pytest.raises(ValueError, match=r"thing\.made\.v0 is an old version: declare the fields that it stored"):
        event_schema(aggregate(entry), entry)


def test_an_old_version_says_how_it_is_read() -> None:
    assert "read as `order.placed.v2`" in SCHEMAS["order.placed.v1"]["description"]
