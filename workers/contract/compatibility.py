"""Holds shipped event versions to the form in which they were shipped.

`shipped.json` has the form of each: its schema without titles and descriptions. `make reference` adds new versions and
refuses a change of a shipped one. A payload is never written anew and readers keep old ones for ever, so a version's
fields stay as they are. What may change: titles and descriptions, and more values of an `x-extensible-enum`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from workers.contract.event_schemas import Schema

SHIPPED: Final = Path(__file__).with_name("shipped.json")
_IN_WORDS: Final = frozenset({"title", "description", "$comment", "examples"})
"""Keywords that say nothing about the form."""
_VALUES: Final = "x-extensible-enum"
_MARKS: Final = {"x-personal": "sealed"}
_VERSION: Final = re.compile(r"(.*\.v)([0-9]+)")


class IncompatibleError(ValueError):
    """A shipped event version was changed. The message has a line for each."""


def read_shipped(file: Path = SHIPPED) -> dict[str, Schema]:
    """The forms of the shipped versions, by name."""
    shipped: dict[str, Schema] = orjson.loads(file.read_bytes())
    return shipped


def text_of_shipped(shipped: Mapping[str, Schema]) -> str:
    """The forms as JSON text, in the form that is committed."""
    return orjson.dumps(shipped, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()


def shipped_with(now: Mapping[str, Schema], shipped: Mapping[str, Schema]) -> dict[str, Schema]:
    """The forms that are shipped from now on. Raises `IncompatibleError` if a shipped one was changed or is missing."""
    if broken := list(incompatible(now, shipped)):
        raise IncompatibleError("\n".join(broken))
    return {name: form(schema) for name, schema in now.items()}


def incompatible(now: Mapping[str, Schema], shipped: Mapping[str, Schema]) -> Iterator[str]:
    """Yield a sentence for each shipped version that was changed, and what to do."""
    for name, was in shipped.items():
        changes = ["it is no longer declared"] if name not in now else [*differences(was, now[name])]
        if changes:
            yield (
                f"{name} was shipped, and stored events never change: {'; '.join(changes)}. Give the event a new name, "
                f"{_next(name)}, and keep {name} with its `payload`, `upcasts_to` and an `upcast`. (If no release ever "
                f"had {name}, remove it from workers/contract/{SHIPPED.name}.)"
            )


def differences(was: Schema, now: Schema) -> Iterator[str]:
    """Yield what is different between the form of a version as it was shipped and its schema as it is now."""
    yield from _Comparison(was, now).of(form(was), form(now), "")


def form(schema: Any) -> Any:
    """A schema without the keywords that say nothing about the form. Names of properties are no keywords."""
    if isinstance(schema, list):
        return [form(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: form(one) for name, one in value.items()} if key in ("properties", "$defs") else form(value)
        for key, value in schema.items()
        if key not in _IN_WORDS
    }


class _Comparison:
    """Compares two schemas part by part. References are followed, so the name of a definition does not count."""

    def __init__(self, was: Schema, now: Schema) -> None:
        self._was = was
        self._now = now
        self._followed: set[tuple[str, str]] = set()

    def of(self, was: Any, now: Any, field: str) -> Iterator[str]:
        """Yield the differences of two parts. `field` is the path of their field; empty at the top."""
        references = was.get("$ref"), now.get("$ref")
        if None not in references:
            if references in self._followed:
                return
            self._followed.add(references)
        was, now = _resolved(was, self._was), _resolved(now, self._now)
        yield from self._fields(was, now, field)
        yield from self._values(was, now, field)
        yield from self._rest(was, now, field)
        if len(was.get("anyOf", ())) == len(now.get("anyOf", ())):
            for before, after in zip(was.get("anyOf", ()), now.get("anyOf", ()), strict=True):
                yield from self.of(before, after, field)
        for key in ("items", "additionalProperties"):
            if isinstance(was.get(key), dict) and isinstance(now.get(key), dict):
                yield from self.of(was[key], now[key], f"{field}[]")

    def _fields(self, was: Schema, now: Schema, field: str) -> Iterator[str]:
        before, after = was.get("properties", {}), now.get("properties", {})
        for name in sorted(before.keys() | after.keys()):
            path = f"{field}.{name}" if field else name
            if name not in after:
                yield f"field {path} was removed or renamed"
            elif name not in before:
                yield f"field {path} was added or renamed"
            else:
                yield from self.of(before[name], after[name], path)
                required = name in now.get("required", ())
                if (name in was.get("required", ())) != required:
                    yield f"field {path} became {'required' if required else 'optional'}"

    def _values(self, was: Schema, now: Schema, field: str) -> Iterator[str]:
        gone = [value for value in was.get(_VALUES, ()) if value not in now.get(_VALUES, ())]
        if gone:
            yield f"field {field} lost the value {', '.join(map(str, gone))}"
        elif _VALUES in now and _VALUES not in was:
            yield f"field {field} was any text, and is one of a list"

    def _rest(self, was: Schema, now: Schema, field: str) -> Iterator[str]:
        for key in sorted((was.keys() | now.keys()) - {"properties", "required", "$defs", "$ref", _VALUES}):
            before, after = was.get(key), now.get(key)
            compared = isinstance(before, dict) and isinstance(after, dict)
            if key == "anyOf":
                compared = len(before or ()) == len(after or ())
            if not compared and before != after:
                yield _changed(key, before, after, field)


def _changed(key: str, before: Any, after: Any, field: str) -> str:
    what = f"field {field}" if field else "the payload"
    if key in _MARKS:
        return f"{what} is {'' if after else 'no longer '}{_MARKS[key]}"
    return f"{what} has {_shown(key, after)}, and had {_shown(key, before)}"


def _shown(key: str, value: Any) -> str:
    return f"no {key}" if value is None else f"{key} {orjson.dumps(value).decode()}"


def _resolved(part: Schema, root: Schema) -> Schema:
    if "$ref" not in part:
        return part
    definition: Schema = form(root["$defs"][part["$ref"].rpartition("/")[2]])
    return definition


def _next(name: str) -> str:
    match = _VERSION.fullmatch(name)
    return f"{match[1]}{int(match[2]) + 1}" if match else f"{name}.v2"
