"""The schemas of records have the members that the code writes and reads."""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs
import pytest
from msgspec import Struct
from msgspec.structs import fields

from eventstore.log import unit_records
from eventstore.log.unit_records import Unit
from tests.support.schemas import errors
from workers.contract.record_schemas import RECORD_SCHEMAS, UNIT
from workers.kafka.key_records import KeyRecord
from workers.kafka.publishing.events_publication import Heartbeat

LOG: Final = "5f1c7c5e-93a1-4b56-9f3f-0b6f2f0c8a11"
DIGEST: Final = "0" * 64
AT: Final = "2026-11-21T12:00:00.000000Z"
METADATA: Final = {
    "actor": {"how": "token", "id": "tester", "roles": ["operator"]},
    "command": "Transfer",
    "correlation": "key-1",
    "decided_at": AT,
    "key": "key-1",
    "rules": 1,
}
EVENT: Final = {"stream": "ord_1", "version": 2, "type": "order.confirmed.v1", "payload": {}, "metadata": METADATA}
WHOLE: Final = {
    "log": LOG,
    "epoch": 1,
    "first": 1,
    "last": 1,
    "recorded_at": AT,
    "commands": DIGEST,
    "events": [EVENT],
}
OPAQUE: Final = {**EVENT, "encoding": 1, "payload": "AAEC", "metadata": "AAEC"}
OLD: Final = {
    "actor": {"how": "token", "id": "tester"},
    "causation": None,
    "command": "Transfer",
    "correlation": "key-1",
    "decided_at": AT,
}
HEARTBEAT: Final = {"log": LOG, "epoch": 1, "first": 1, "position": 4, "digest": DIGEST, "events": 0}


def with_event(**changes: Any) -> dict[str, Any]:
    return {**WHOLE, "events": [{**EVENT, **changes}]}


@pytest.mark.parametrize(
    ("schema", "struct"),
    [
        (UNIT, Unit),
        (UNIT["$defs"]["Event"], unit_records._Event),
        (RECORD_SCHEMAS["heartbeat"], Heartbeat),
        (RECORD_SCHEMAS["key"], KeyRecord),
    ],
)
def test_it_has_the_members_of_the_struct(schema: dict[str, Any], struct: type[Struct]) -> None:
    assert set(schema["properties"]) == {field.encode_name for field in fields(struct)}
    assert set(schema["required"]) == {field.encode_name for field in fields(struct) if field.required}


@pytest.mark.parametrize("name", RECORD_SCHEMAS)
def test_it_is_a_schema_of_2020_12(name: str) -> None:
    assert jsonschema_rs.meta.is_valid(RECORD_SCHEMAS[name])


@pytest.mark.parametrize(
    "record",
    [
        WHOLE,
        {**WHOLE, "commands": ""},
        {**WHOLE, "last": 2, "events": [EVENT, {key: value for key, value in EVENT.items() if key != "metadata"}]},
        {**WHOLE, "events": [OPAQUE]},
        {**WHOLE, "another": "a member of a later version"},
        with_event(encoding=0),
        with_event(metadata=OLD),
    ],
)
def test_a_unit_fits(record: Any) -> None:
    assert errors("records/unit.json", record) == []


@pytest.mark.parametrize(
    "record",
    [
        {key: value for key, value in WHOLE.items() if key != "epoch"},
        {**WHOLE, "first": 0},
        {**WHOLE, "log": "main"},
        {**WHOLE, "recorded_at": "yesterday"},
        {**WHOLE, "commands": DIGEST[1:]},
        {**WHOLE, "events": []},
        with_event(version=0),
        with_event(payload="AAEC"),
        with_event(metadata={**METADATA, "actor": "tester"}),
        with_event(metadata="AAEC"),
        {**WHOLE, "events": [{**OPAQUE, "payload": {}}]},
    ],
)
def test_a_unit_just_outside_is_refused(record: Any) -> None:
    assert errors("records/unit.json", record)


@pytest.mark.parametrize(
    ("name", "record", "fits"),
    [
        ("heartbeat", HEARTBEAT, True),
        ("heartbeat", {**HEARTBEAT, "events": -1}, False),
        ("heartbeat", {**HEARTBEAT, "digest": "0"}, False),
        ("heartbeat", {**HEARTBEAT, "position": "4"}, False),
        ("key", {"master_key": "00ff", "wrapped": "AAEC"}, True),
        ("key", {"master_key": "00FF", "wrapped": "AAEC"}, False),
        ("key", {"master_key": "00ff"}, False),
    ],
)
def test_a_heartbeat_and_a_key(name: str, record: Any, fits: bool) -> None:
    assert (errors(f"records/{name}.json", record) == []) == fits
