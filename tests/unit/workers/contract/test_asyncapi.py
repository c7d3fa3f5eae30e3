"""The AsyncAPI document is one, leads somewhere, and describes every topic, event and command."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson
import pytest

from api.openapi import describe
from api.registry import routes
from domain.registry import CATALOGUE
from tests.samples.registry import command_routes
from tests.support.schemas import REFERENCE, committed, errors
from workers.kafka import topics
from workers.kafka.topics import Topic

DOCUMENT: Final = committed("asyncapi.json")
SPECIFICATION: Final = Path(__file__).parents[3] / "fixtures" / "asyncapi-3.0.0.json"
"""The JSON Schema of AsyncAPI 3.0.0, from the npm package @asyncapi/specs 6.11.1 (Apache-2.0)."""
OPENAPI: Final = describe(routes())
COMMANDS: Final = {route.name: route for route in command_routes().values()}
command = pytest.mark.parametrize("name", COMMANDS)


@cache
def specification() -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(orjson.loads(SPECIFICATION.read_bytes()))


def references(part: Any) -> Iterator[str]:
    """All references in a document."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def missing(document: Any, name: str) -> list[str]:
    """The references of the document of this name that lead nowhere, in it and in what it refers to."""
    return [one for one in references(document) if not leads_somewhere(document, name, one)]


def leads_somewhere(document: Any, name: str, reference: str) -> bool:
    file, _, pointer = reference.partition("#")
    path = (REFERENCE / name).parent / file
    if file and not path.is_file():
        return False
    target = orjson.loads(path.read_bytes()) if file else document
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or key not in target:
            return False
        target = target[key]
    return True


def test_it_is_an_asyncapi_document() -> None:
    assert [str(error) for error in specification().iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {**DOCUMENT, "asyncapi": "2.6.0"},
        {**DOCUMENT, "another": 1},
        {**DOCUMENT, "channels": {"log": {"address": 1}}},
        {**DOCUMENT, "operations": {"publishLog": {"action": "send"}}},
    ],
)
def test_another_document_is_refused(wrong: Any) -> None:
    assert not specification().is_valid(wrong)


def test_every_reference_leads_somewhere() -> None:
    assert missing(DOCUMENT, "asyncapi.json") == []
    files = {reference.partition("#")[0] for reference in references(DOCUMENT)} - {""}
    assert {file: found for file in files if (found := missing(committed(file), file))} == {}
    assert {f"events/{entry.name}.json" for entry in CATALOGUE} < files


def test_a_reference_that_leads_nowhere_is_found() -> None:
    wrong = {"a": [{"$ref": "#/none"}, {"$ref": "none.json"}, {"$ref": "openapi.json#/none"}, {"$ref": "#/a"}]}
    assert missing(wrong, "asyncapi.json") == ["#/none", "none.json", "openapi.json#/none"]


@pytest.mark.parametrize(
    ("channel", "topic"),
    [
        ("log", topics.log_topic("main", 7)),
        ("events", topics.events_topic("main", 7, 4)),
        ("keys", topics.keys_topic("main", 7)),
        ("commands", topics.commands_topic("main", "shop")),
        ("answers", topics.answers_topic("main", "shop")),
    ],
)
def test_a_channel_is_the_topic(channel: str, topic: Topic) -> None:
    described = DOCUMENT["channels"][channel]
    names = {"log": "main", "generation": "7", "principal": "shop"}
    assert described["address"].format_map(names) == topic.name
    assert [f"{{{name}}}" in described["address"] for name in described["parameters"]] == [True, True]
    configuration = described["bindings"]["kafka"]["topicConfiguration"]
    assert configuration["cleanup.policy"] == [topic.settings["cleanup.policy"]]
    for name in configuration.keys() - {"cleanup.policy"}:
        assert str(configuration[name]) == topic.settings[name]
    assert configuration.keys() == topic.settings.keys()


def test_the_channel_of_events_has_every_version() -> None:
    messages = DOCUMENT["channels"]["events"]["messages"].keys()
    assert messages == {*(entry.name for entry in CATALOGUE), "opaque", "heartbeat"}


def test_the_channel_of_commands_has_every_command() -> None:
    assert DOCUMENT["channels"]["commands"]["messages"].keys() == COMMANDS.keys()


def value_of(name: str) -> dict[str, Any]:
    """A command as it is sent: a path of its route, and the example of its body."""
    route = COMMANDS[name]
    operation = OPENAPI["paths"][route.path_format]["post"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    body = OPENAPI["components"]["schemas"][reference.rpartition("/")[2]]
    return {"path": route.path_format.replace("{", "").replace("}", ""), "body": body["examples"][0]}


def wrong_of(name: str, value: Any) -> list[str]:
    return errors("asyncapi.json", value, f"/components/messages/{name}/payload")


@command
def test_a_command_fits_its_message(name: str) -> None:
    value = value_of(name)
    assert wrong_of(name, value) == []
    assert wrong_of(name, {**value, "if_match": '"3"'}) == []
    headers = f"/components/messages/{name}/headers"
    assert errors("asyncapi.json", {"idempotency-key": "order-4711"}, headers) == []


@command
def test_a_command_just_outside_is_refused(name: str) -> None:
    value = value_of(name)
    for wrong in (
        {**value, "path": value["path"] + "/more"},
        {**value, "path": "/v1/nothing"},
        {**value, "body": {**value["body"], "another": 1}},
        {**value, "another": 1},
        {**value, "if_match": "3" * 31},
        {"body": value["body"]},
    ):
        assert wrong_of(name, wrong), wrong
    headers = f"/components/messages/{name}/headers"
    for header in ({}, {"idempotency-key": ""}, {"idempotency-key": "k" * 256}, {"idempotency-key": " key"}):
        assert errors("asyncapi.json", header, headers), header


def test_a_command_without_members_needs_no_body() -> None:
    assert wrong_of("confirm_order", {"path": "/v1/orders/ord_1/confirm"}) == []
    assert wrong_of("cancel_order", {"path": "/v1/orders/ord_1/cancel"})


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ({"key": "k", "status": 201, "body": {"outcome": "accepted"}, "version": 1}, True),
        ({"key": "k", "status": 422, "body": {"code": "order_status"}}, True),
        ({"key": "k", "status": "201", "body": {}}, False),
        ({"key": "k", "status": 201}, False),
    ],
)
def test_an_answer_has_the_members_of_an_answer_of_a_batch(answer: Any, fits: bool) -> None:
    assert (wrong_of("answer", answer) == []) == fits
