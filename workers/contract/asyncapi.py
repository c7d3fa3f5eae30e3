"""The AsyncAPI document of the topics: channels, records with their headers, and where their schemas are.

Schemas are not repeated here. Events and records have files of their own, and bodies of commands are in openapi.json.
These use keywords that mean the same in JSON Schema 2020-12 and in the draft that AsyncAPI is based on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from starlette.routing import BaseRoute

from api.commands.batch_items import Item
from api.commands.routes import CommandRoute
from api.gateway.routes import DeclaredRoute, declared_route
from eventstore.log.unit_records import MOST_PIECE_BYTES
from workers.contract.event_schemas import Schema
from workers.kafka import topics
from workers.kafka.commands.records import KEY_HEADER
from workers.kafka.publishing.events_publication import CONTENT_TYPES, HEARTBEAT
from workers.kafka.topics import Topic

VERSION: Final = "3.0.0"
_BINDING: Final = "0.5.0"
_JSON: Final = "application/json"
_GENERATION: Final = 0  # replaced by a placeholder
_ADDRESSES: Final = {
    "log": (topics.log_topic("{log}", _GENERATION), "A record a unit: the events of one command. One partition."),
    "events": (
        topics.events_topic("{log}", _GENERATION, 1),
        "A record an event, as a CloudEvent in Kafka's binary mode, in the partition of its stream. The last record of "
        "each transaction in each partition is a heartbeat.",
    ),
    "keys": (
        topics.keys_topic("{log}", _GENERATION),
        "The keys of people, wrapped for the replicas. A tombstone stands for a key that was erased.",
    ),
    "commands": (
        topics.commands_topic("{log}", "{principal}"),
        "Commands of one principal, in their order. Who may write to the topic may send commands as this principal.",
    ),
    "answers": (topics.answers_topic("{log}", "{principal}"), "The answers to the commands of a principal, by key."),
}
"""The topic and the description of each channel. The topic has placeholders instead of names."""
_PARAMETERS: Final = {
    "log": "The name of the log.",
    "generation": "The generation of the publication. The history is published anew under the next number.",
    "principal": "The id of the principal.",
}
_CLOUD_EVENT: Final[Schema] = {
    "type": "object",
    "description": "The attributes of a CloudEvent 1.0. Each is a text.",
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "The position of the event in the log."},
        "ce_source": {"type": "string", "pattern": "^urn:daybook:log:[0-9a-f-]{36}$", "description": "The log."},
        "ce_type": {"type": "string", "description": "The stable name of the event with its version."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When the event was recorded."},
        "ce_subject": {"type": "string", "description": "The stream."},
        "ce_streamversion": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "The version of the event in its stream. It is an extension of CloudEvents.",
        },
        "content-type": {"type": "string", "enum": [one.decode() for one in CONTENT_TYPES.values()]},
    },
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_subject",
        "ce_streamversion",
        "content-type",
    ],
}
_NUMBER: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]*$"}


def document(events: Iterable[str], description: Mapping[str, Any], routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document. `events` are the names of event versions, `description` the OpenAPI description of the routes."""
    messages = {
        "log": _units(),
        "events": _events(events),
        "keys": {"key": _key()},
        "commands": dict(_commands(description, routes)),
        "answers": {"answer": _answer()},
    }
    return {
        "asyncapi": VERSION,
        "id": "urn:daybook",
        "info": {
            "title": "Daybook",
            "version": "1",
            "description": "An event-sourced ledger on Apache Kafka. Readers set `isolation.level=read_committed`.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": _JSON,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The setting `DAYBOOK_KAFKA_BOOTSTRAP_SERVERS` names it.",
                "variables": {"bootstrap": {"description": "Host and port.", "examples": ["localhost:9092"]}},
            }
        },
        "channels": {name: _channel(name, *_ADDRESSES[name], messages[name]) for name in _ADDRESSES},
        "operations": _operations(),
        "components": {
            "messages": {key: message for of in messages.values() for key, message in of.items()},
            "schemas": {"CloudEventHeaders": _CLOUD_EVENT},
        },
    }


def text_of(document: dict[str, Any]) -> str:
    """The document as JSON text, in the form that is committed."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


# Channels and operations


def _channel(name: str, topic: Topic, description: str, messages: Mapping[str, Any]) -> dict[str, Any]:
    address = topic.name.replace(f".{_GENERATION}.", ".{generation}.")
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "parameters": {one: {"description": _PARAMETERS[one]} for one in re.findall(r"{(\w+)}", address)},
        "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
        "bindings": {
            "kafka": {
                **({"partitions": topic.partitions} if name != "events" else {}),  # a setting decides
                "topicConfiguration": dict(_configuration(topic.settings)),
                "bindingVersion": _BINDING,
            }
        },
    }


def _configuration(settings: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if name == "cleanup.policy":
            yield name, [value]
        else:
            yield name, int(value) if value.lstrip("-").isdigit() else value


def _operations() -> dict[str, Any]:
    """What Daybook does."""
    sends = {
        "publishLog": ("log", "`daybook publish` sends each unit of the log, in order, exactly once."),
        "publishKeys": ("keys", "`daybook publish` sends the keys that the events need, before them."),
        "publishEvents": ("events", "`daybook publish` sends each event of the log exactly once."),
    }
    return {
        name: {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "description": description}
        for name, (channel, description) in sends.items()
    } | {
        "executeCommand": {
            "action": "receive",
            "channel": {"$ref": "#/channels/commands"},
            "description": "A command is validated, decided and recorded as over HTTP. The same key with the same "
            "command has one effect, and the same answer to the byte.",
            "reply": {
                "channel": {"$ref": "#/channels/answers"},
                "messages": [{"$ref": "#/channels/answers/messages/answer"}],
            },
        }
    }


# Messages


def _units() -> dict[str, Any]:
    positions = {
        "first": {**_NUMBER, "description": "The position of the first event."},
        "last": {**_NUMBER, "description": "The position of the last event."},
    }
    pieces = {
        "piece": {**_NUMBER, "description": "The number of the piece, from 1."},
        "pieces": {**_NUMBER, "description": "How many there are."},
    }
    keys = {
        "keys": {"const": "1", "description": "The transaction has records of keys that the events need."},
    }
    return {
        "unit": {
            "title": "The events of one command",
            "headers": _headers({**positions, **keys}, optional=("keys",)),
            "payload": {"$ref": "records/unit.json"},
        },
        "unit_piece": {
            "title": "A piece of the record of a unit",
            "summary": f"A record of more than {MOST_PIECE_BYTES} bytes is sent in pieces, one after the other in one "
            "transaction.",
            "contentType": "application/octet-stream",
            "headers": _headers({**positions, **pieces, **keys}, optional=("keys",)),
            "payload": {"type": "string", "maxLength": MOST_PIECE_BYTES, "description": "Bytes of the record."},
        },
    }


def _events(names: Iterable[str]) -> dict[str, Any]:
    stream = _keyed("The stream.")
    messages = {
        name: {
            "name": name,
            "headers": _cloud_event({"ce_type": {"const": name}, "content-type": {"const": _JSON}}),
            "payload": {"$ref": f"events/{name}.json"},
            "bindings": stream,
        }
        for name in names
    }
    messages["opaque"] = {
        "title": "An event that was appended with the `eventsourcing` library",
        "contentType": CONTENT_TYPES[1].decode(),
        "headers": _cloud_event({"content-type": {"const": CONTENT_TYPES[1].decode()}}),
        "payload": {"type": "string", "description": "Bytes that only the application of the library can read."},
        "bindings": stream,
    }
    messages["heartbeat"] = {
        "title": "How far the partition has the log",
        "name": HEARTBEAT,
        "headers": {
            **_CLOUD_EVENT,
            "properties": {
                **_CLOUD_EVENT["properties"],
                "ce_id": {
                    "type": "string",
                    "pattern": r"^[1-9][0-9]*\.[0-9]+$",
                    "description": "Position and partition.",
                },
                "ce_type": {"const": HEARTBEAT},
                "ce_subject": {"const": "log"},
                "ce_streamversion": {**_NUMBER, "description": "The position."},
                "content-type": {"const": _JSON},
            },
        },
        "payload": {"$ref": "records/heartbeat.json"},
        "bindings": _keyed("The type of heartbeats.", {"const": HEARTBEAT}),
    }
    return messages


def _key() -> dict[str, Any]:
    return {
        "title": "The key of a person",
        "payload": {"anyOf": [{"$ref": "records/key.json"}, {"type": "null"}]},
        "bindings": _keyed("The person."),
    }


def _commands(description: Mapping[str, Any], routes: Iterable[BaseRoute]) -> Iterable[tuple[str, Any]]:
    """A message for each route of a command. Its value has the form of an item of a batch, without the key."""
    item = Item.model_json_schema()["properties"]
    for one in map(declared_route, routes):
        if not isinstance(one.declaration, CommandRoute):
            continue
        operation = description["paths"][one.route.path_format]["post"]
        body = operation["requestBody"]["content"][_JSON]["schema"]
        yield (
            one.route.name,
            {
                "title": operation["description"].partition("\n")[0],
                "headers": _headers({KEY_HEADER: _idempotency_key(operation)}),
                "payload": {
                    "type": "object",
                    "properties": {
                        "path": {"type": "string", "maxLength": item["path"]["maxLength"], "pattern": _pattern(one)},
                        "if_match": {key: value for key, value in item["if_match"].items() if key != "title"},
                        "body": {"$ref": f"openapi.json{body['$ref']}"},
                    },
                    "required": ["path", *(["body"] if _needs_body(description, body["$ref"]) else [])],
                    "additionalProperties": False,
                },
            },
        )


def _answer() -> dict[str, Any]:
    return {
        "title": "The answer to a command",
        "summary": "It has the members of the answer to an item of a batch, but for `replayed`. It can come more than "
        "once, the same to the byte.",
        "payload": {"$ref": "openapi.json#/components/schemas/BatchAnswer"},
        "bindings": _keyed("The idempotency key of the command."),
    }


def _idempotency_key(operation: Mapping[str, Any]) -> Schema:
    [header] = [one for one in operation["parameters"] if one["name"] == "Idempotency-Key"]
    schema: Schema = header["schema"]
    return {**schema, "description": header["description"]}


def _pattern(route: DeclaredRoute) -> str:
    """The pattern of the paths of a route."""
    parts = re.split(r"{\w+}", route.route.path_format)
    return f"^{'[!-~]+'.join(map(re.escape, parts))}$"


def _needs_body(description: Mapping[str, Any], reference: str) -> bool:
    """Whether a body has required members. Without a body it is empty."""
    return bool(description["components"]["schemas"][reference.rpartition("/")[2]].get("required"))


def _headers(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def _cloud_event(fixed: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "allOf": [{"$ref": "#/components/schemas/CloudEventHeaders"}, {"properties": dict(fixed)}],
    }


def _keyed(description: str, schema: Schema | None = None) -> dict[str, Any]:
    key = {**(schema or {"type": "string"}), "description": description}
    return {"kafka": {"key": key, "bindingVersion": _BINDING}}
