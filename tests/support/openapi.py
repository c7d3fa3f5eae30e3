"""Compares OpenAPI descriptions, and makes a description strict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, Literal

Schema = Mapping[str, Any]
Direction = Literal["request", "response"]

ANNOTATIONS: Final = frozenset({"title", "description", "summary", "examples", "example"})
NESTED: Final = frozenset({"$ref", "anyOf", "properties", "required", "items", "additionalProperties"})
METHODS: Final = ("get", "post")


def changes(old: Schema, new: Schema) -> Iterator[str]:
    """The changes that are not additions, one sentence each: they may break a client of the old description.

    Texts are not compared. A request may accept more, and a response may promise more.
    """
    comparison = _Comparison(old, new)
    for path, operations in old["paths"].items():
        for method, operation in operations.items():
            where = f"{method.upper()} {path}"
            found = new["paths"].get(path, {}).get(method)
            if found is None:
                yield f"{where}: gone"
            else:
                yield from comparison.operation(where, operation, found)


class _Comparison:
    """The changes between two descriptions; `where` is the place in each sentence."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new

    def operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        for name in ("operationId", "security"):
            if old.get(name) != new.get(name):
                yield f"{where} {name}: {old.get(name)!r} became {new.get(name)!r}"
        if not set(old["tags"]) <= set(new["tags"]):
            yield f"{where} tags: {old['tags']} became {new['tags']}"
        yield from self._parameters(where, old, new)
        if "requestBody" in new and "requestBody" not in old:
            yield f"{where} body: new"
        if "requestBody" in old:
            yield from self._content(f"{where} body", old["requestBody"], new.get("requestBody", {}), "request")
        for status, answer in old["responses"].items():
            found = new["responses"].get(status)
            if found is None:
                yield f"{where} {status}: gone"
                continue
            yield from (f"{where} {status} header {name}: gone" for name in _gone(answer, found, "headers"))
            yield from self._content(f"{where} {status}", answer, found, "response")

    def _parameters(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = ({(p["in"], p["name"]): p for p in one.get("parameters", [])} for one in (old, new))
        for key, parameter in after.items():
            at = f"{where} {key[0]} {key[1]}"
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{at}: required now"
            if key in before:
                yield from self._schemas(at, before[key]["schema"], parameter["schema"], "request")
        yield from (f"{where} {kind} {name}: gone" for kind, name in before.keys() - after.keys())

    def _content(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        yield from (f"{where} {kind}: gone" for kind in _gone(old, new, "content"))
        for kind, content in old.get("content", {}).items():
            if kind in new.get("content", {}):
                yield from self._schemas(where, content["schema"], new["content"][kind]["schema"], direction)

    def _schemas(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        """The narrower schema must fit in the wider one: the new one of a request, the old one of a response."""
        olds, news = _alternatives(self._old, old), _alternatives(self._new, new)
        for one in olds if direction == "request" else news:
            found = [
                list(self._schema(where, *((one, other) if direction == "request" else (other, one)), direction))
                for other in (news if direction == "request" else olds)
            ]
            yield from min(found, key=len)

    def _schema(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        wide, narrow = (new, old) if direction == "request" else (old, new)
        for name in sorted(wide.keys() - ANNOTATIONS - NESTED):
            if not _fits(name, narrow.get(name), wide[name]):
                yield f"{where} {name}: {old.get(name)!r} became {new.get(name)!r}"
        if not set(wide.get("required", ())) <= set(narrow.get("required", ())):
            yield f"{where} required: {sorted(old.get('required', ()))} became {sorted(new.get('required', ()))}"
        yield from (f"{where}.{name}: gone" for name in _gone(old, new, "properties"))
        for name in old.get("properties", {}).keys() & new.get("properties", {}).keys():
            yield from self._schemas(f"{where}.{name}", old["properties"][name], new["properties"][name], direction)
        if "items" in wide:
            yield from self._schemas(f"{where}[]", old.get("items", {}), new.get("items", {}), direction)
        yield from self._others(where, old, new, direction)

    def _others(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        """The schema of members without a name in the description."""
        before, after = (one.get("additionalProperties", True) for one in (old, new))
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self._schemas(f"{where}.*", before, after, direction)
        elif (after is False and before is not False) if direction == "request" else isinstance(before, dict):
            yield f"{where} additionalProperties: {before!r} became {after!r}"


def _fits(name: str, narrow: Any, wide: Any) -> bool:
    """Whether what one keyword permits is permitted by the same keyword of the wider schema."""
    if name == "enum" and narrow is not None:
        return set(narrow) <= set(wide)
    return bool(narrow == wide)


def _gone(old: Schema, new: Schema, name: str) -> set[str]:
    return set(old.get(name, {})) - set(new.get(name, {}))


def _alternatives(document: Schema, schema: Schema) -> list[Schema]:
    """The alternatives of a schema, without references at the top."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return _alternatives(document, document["components"]["schemas"][name])
    if "anyOf" in schema:
        return [found for one in schema["anyOf"] for found in _alternatives(document, one)]
    return [schema]


def strict(document: Schema) -> dict[str, Any]:
    """The description without members other than the named ones, except where it allows others."""
    made: dict[str, Any] = deepcopy(dict(document))
    _close(made)
    return made


def _close(node: Any) -> None:
    if isinstance(node, list):
        for one in node:
            _close(one)
    elif isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            node.setdefault("additionalProperties", False)
        for one in node.values():
            _close(one)
