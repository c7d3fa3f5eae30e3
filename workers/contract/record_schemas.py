"""JSON Schema of the records on Kafka that are not events: `docs/reference/records/`.

A unit is a record of the topic of the log (`eventstore.log.unit_records`), a heartbeat one of the topic of events
(`workers.kafka.publishing.events_publication`), and a key one of the topic of keys (`workers.kafka.key_records`).
These schemas are open: a record may get another member, which readers ignore. A change of what a member means would be
another topic.
"""

from __future__ import annotations

from typing import Any, Final

from workers.contract.event_schemas import DIALECT, Schema

_POSITION: Final[Schema] = {"type": "integer", "minimum": 1}
_DIGEST: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_LOG: Final[Schema] = {"type": "string", "format": "uuid", "description": "The UUID of the log."}
_EPOCH: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "description": "The epoch of the log. It grows when the log is restored from a backup.",
}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}


def _object(description: str, properties: dict[str, Any], optional: tuple[str, ...] = ()) -> Schema:
    """An open object whose members are required, but for the optional ones."""
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": True,
    }


def _record(name: str, body: Schema, definitions: dict[str, Schema] | None = None) -> Schema:
    return {
        "$schema": DIALECT,
        "$id": f"urn:daybook:record:{name}",
        "title": name,
        **body,
        **({"$defs": definitions} if definitions else {}),
    }


_METADATA: Final = _object(
    "The command that the events came from.",
    {
        "actor": {"$ref": "#/$defs/Actor"},
        "command": {"type": "string", "description": "The type of the command."},
        "correlation": {
            "type": "string",
            "description": "The key of a single command; the id of the batch for an item of one.",
        },
        "decided_at": _TIME,
        "key": {
            "type": "string",
            "description": "The idempotency key of the command. The oldest items of batches do not have it.",
        },
        "rules": {
            "type": "integer",
            "description": "The version of the rules it was decided under. The oldest events have none.",
        },
        "causation": {"type": ["string", "null"], "description": "Only the oldest events have it."},
    },
    optional=("key", "rules", "causation"),
)
_ACTOR: Final = _object(
    "Who sent the command.",
    {
        "id": {"type": "string"},
        "how": {"type": "string", "description": "How the actor proved who it is."},
        "roles": {"type": "array", "items": {"type": "string"}, "description": "The oldest events have none."},
        "person": {"type": "string", "description": "The person behind it."},
        "grants": {
            "type": "array",
            "items": _object(
                "A role that the actor had for a time.",
                {"role": {"type": "string"}, "until": {**_TIME, "type": ["string", "null"]}},
            ),
        },
    },
    optional=("roles", "person", "grants"),
)
_EVENT: Final = {
    **_object(
        "An event, as it is stored.",
        {
            "stream": {"type": "string"},
            "version": {"type": "integer", "minimum": 1, "description": "Within the stream, from 1."},
            "type": {"type": "string", "description": "The stable name with its version. Its schema is in `events/`."},
            "encoding": {
                "type": "integer",
                "minimum": 0,
                "description": "How the payload is encoded; 0 if it is left out: JSON. 1: opaque bytes, of events that "
                "were appended with the `eventsourcing` library.",
            },
            "payload": {"description": "The stored bytes: a JSON object, or base64 of opaque bytes."},
            "metadata": {
                "description": "The stored bytes, as the payload has them. Left out where they are those of the event "
                "before."
            },
        },
        optional=("encoding", "metadata"),
    ),
    "if": {"required": ["encoding"], "properties": {"encoding": {"not": {"const": 0}}}},
    "then": {"properties": {"payload": {"type": "string"}, "metadata": {"type": "string"}}},
    "else": {"properties": {"payload": {"type": "object"}, "metadata": {"$ref": "#/$defs/Metadata"}}},
}

UNIT: Final = _record(
    "unit",
    _object(
        "The events of one command, in one record of the topic of the log. A longer record than 900,000 bytes is sent "
        "in pieces, which are this record when they are joined.",
        {
            "log": _LOG,
            "epoch": _EPOCH,
            "first": {
                **_POSITION,
                "description": "The position of the first event: 1 more than the last one before.",
            },
            "last": {**_POSITION, "description": "The position of the last event."},
            "recorded_at": _TIME,
            "commands": {
                "type": "string",
                "pattern": "^([0-9a-f]{64})*$",
                "description": "SHA-256 of the record of the command, as in the canonical leaf; empty without one.",
            },
            "events": {"type": "array", "items": {"$ref": "#/$defs/Event"}, "minItems": 1},
        },
    ),
    {"Event": _EVENT, "Metadata": _METADATA, "Actor": _ACTOR},
)
HEARTBEAT: Final = _record(
    "heartbeat",
    _object(
        "How far a partition of the topic of events has the log. It is the last record of each transaction in each "
        "partition.",
        {
            "log": _LOG,
            "epoch": _EPOCH,
            "first": {**_POSITION, "description": "The first position of the last unit."},
            "position": {**_POSITION, "description": "The partition has every event of its streams up to here."},
            "digest": {**_DIGEST, "description": "SHA-256 of the record of the last unit, as in the topic of the log."},
            "events": {
                "type": "integer",
                "minimum": 0,
                "description": "How many events the partition has since the beginning. A reader that counted another "
                "number misses some.",
            },
        },
    ),
)
KEY: Final = _record(
    "key",
    _object(
        "The key of a person, wrapped for the replicas. The record's key is the person. A tombstone stands for a "
        "key that was erased.",
        {
            "master_key": {"type": "string", "pattern": "^[0-9a-f]+$", "description": "Fingerprint of the master key."},
            "wrapped": {"type": "string", "contentEncoding": "base64", "description": "The wrapped key."},
        },
    ),
)
RECORD_SCHEMAS: Final = {"unit": UNIT, "heartbeat": HEARTBEAT, "key": KEY}
"""By name."""
