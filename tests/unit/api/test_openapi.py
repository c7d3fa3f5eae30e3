"""The description of the API is complete, suits generators of clients, and is changed only by additions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from api.gateway.principals import READERS
from api.openapi import describe
from api.queries.query import query
from api.registry import routes
from tests.support.openapi import changes, strict

BEFORE: Final = Path(__file__).parents[2] / "fixtures" / "openapi-d399098.json"
"""The description of revision d399098: the result of `openapi()` of that revision's app, under today's locked FastAPI
and pydantic. Python's `json` wrote it with `indent=1, sort_keys=True`."""

ON_PURPOSE: Final[Mapping[str, str]] = {
    r" operationId: ": "generated clients have functions with short names",
    r" body\.(owner|customer|author|reference) pattern: ": "codes: neither a sentence nor an e-mail address fits",
    r" query (type|currency|status|side|kind|category) enum: None became ": "a filter has few values",
}
"""Changes that are not additions and were made on purpose: a pattern of the result of `changes`, and the reason."""


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return describe(routes())


def operations(description: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_success_has_a_schema(description: dict[str, Any]) -> None:
    for where, operation in operations(description):
        successes = [answer for status, answer in operation["responses"].items() if status < "300"]
        assert successes, where
        for answer in successes:
            assert answer["content"], where
            assert all(content["schema"] for content in answer["content"].values()), where


def test_every_member_of_a_response_has_a_type(description: dict[str, Any]) -> None:
    for name, schema in description["components"]["schemas"].items():
        for member, described in schema.get("properties", {}).items():
            assert described.keys() & {"type", "$ref", "anyOf", "const"}, f"{name}.{member}"


def test_operations_have_short_names_that_differ(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(description)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+){0,3}", name) for name in names), names


def test_each_schema_has_the_name_of_its_class(description: dict[str, Any]) -> None:
    """FastAPI puts the module before the name of two classes with one name. Generators of clients cannot read that."""
    assert [name for name in description["components"]["schemas"] if "__" in name] == []


def test_every_schema_is_used(description: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(description)))
    assert description["components"]["schemas"].keys() == used


def test_the_description_changed_only_by_additions_and_on_purpose(description: dict[str, Any]) -> None:
    found = list(changes(json.loads(BEFORE.read_text(encoding="utf-8")), description))
    patterns = {pattern: re.compile(pattern) for pattern in ON_PURPOSE}
    assert [one for one in found if not any(pattern.search(one) for pattern in patterns.values())] == []
    assert [name for name, pattern in patterns.items() if not any(map(pattern.search, found))] == []


def body() -> dict[str, Any]:
    """A small description, which tests change."""
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "kind": {"type": "string", "enum": ["a", "b"]}},
        "required": ["name"],
    }
    operation = {
        "operationId": "post_item",
        "tags": ["items"],
        "parameters": [{"name": "limit", "in": "query", "required": False, "schema": {"type": "integer"}}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}},
        "responses": {
            "200": {
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}},
                "headers": {"ETag": {}},
            }
        },
    }
    return {
        "paths": {"/items": {"post": operation}},
        "components": {"schemas": {"Item": item, "Answer": deepcopy(item)}},
    }


def test_additions_are_no_changes() -> None:
    old, new = body(), body()
    operation, schemas = new["paths"]["/items"]["post"], new["components"]["schemas"]
    new["paths"]["/others"] = {}
    operation["summary"] = "Another text"
    operation["parameters"].append({"name": "after", "in": "query", "required": False, "schema": {"type": "string"}})
    operation["responses"]["201"] = {}
    schemas["Item"]["properties"]["more"] = {"type": "string"}
    schemas["Item"]["properties"]["kind"]["enum"].append("c")
    schemas["Item"]["properties"]["name"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    schemas["Item"]["required"] = []
    schemas["Answer"]["properties"]["more"] = {"type": "string"}
    schemas["Answer"]["properties"]["name"]["pattern"] = "^a"
    schemas["Answer"]["required"].append("more")
    assert list(changes(old, new)) == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("paths /items post", None, "POST /items: gone"),
        ("paths /items post operationId", "other", "POST /items operationId: 'post_item' became 'other'"),
        ("paths /items post parameters 0 required", True, "POST /items query limit: required now"),
        ("paths /items post parameters 0 name", "most", "POST /items query limit: gone"),
        ("paths /items post parameters 0 schema maximum", 9, "POST /items query limit maximum: None became 9"),
        ("paths /items post requestBody content application/json", None, "POST /items body application/json: gone"),
        ("paths /items post responses 200", None, "POST /items 200: gone"),
        ("paths /items post responses 200 headers ETag", None, "POST /items 200 header ETag: gone"),
        ("components schemas Item properties kind", None, "POST /items body.kind: gone"),
        ("components schemas Item properties kind enum", ["a"], "POST /items body.kind enum: ['a', 'b'] became ['a']"),
        ("components schemas Item properties name pattern", "^a", "POST /items body.name pattern: None became '^a'"),
        ("components schemas Item required", ["kind", "name"], "POST /items body required: ['name'] became "),
        ("components schemas Item additionalProperties", False, "POST /items body additionalProperties: True became "),
        ("components schemas Answer properties name", None, "POST /items 200.name: gone"),
        ("components schemas Answer properties name type", "null", "POST /items 200.name type: 'string' became 'null'"),
        ("components schemas Answer required", [], "POST /items 200 required: ['name'] became []"),
    ],
)
def test_everything_except_an_addition_is_a_change(path: str, value: Any, sentence: str) -> None:
    new = body()
    *above, last = path.split(" ")
    place: Any = new
    for name in above:
        place = place[int(name) if isinstance(place, list) else name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    found = list(changes(body(), new))
    assert any(one.startswith(sentence) for one in found), found


def test_a_strict_description_allows_only_named_members() -> None:
    loose = body()
    loose["components"]["schemas"]["Item"]["additionalProperties"] = True
    closed = strict(loose)["components"]["schemas"]
    assert closed["Answer"]["additionalProperties"] is False
    assert closed["Item"]["additionalProperties"] is True
    assert "additionalProperties" not in loose["components"]["schemas"]["Answer"]


def test_two_operations_have_two_names() -> None:
    router = APIRouter()
    for path in ("/v1/one", "/v1/two"):
        query(router, path, may=READERS, personal=False, response=str)(list_things)
    with pytest.raises(ValueError, match="Two operations have the name list_things"):
        describe(router.routes)


async def list_things() -> None:
    """Things."""


def test_no_validator_is_built_for_a_problem() -> None:
    """FastAPI builds one for each `model` of an answer, which made the import of the routes twice as long."""
    built = {status for route in routes() if isinstance(route, APIRoute) for status in route.response_fields}
    assert built == {200, 201, 202}
