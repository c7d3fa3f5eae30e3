"""Validates what is published against the committed schemas in docs/reference."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson

REFERENCE: Final = Path(__file__).parents[2] / "docs" / "reference"
_BASE: Final = "https://reference.example/"
"""Relative references between the files are resolved against it; nothing is fetched."""


@cache
def committed(name: str) -> Any:
    """The JSON of a file in docs/reference."""
    return orjson.loads((REFERENCE / name).read_bytes())


@cache
def validator(name: str, pointer: str = "") -> jsonschema_rs.Draft202012Validator:
    """A validator of a committed schema, or of the schema at this pointer in a committed document."""
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"{_BASE}{name}#{pointer}"}, validate_formats=True, registry=_registry()
    )


def errors(name: str, value: Any, pointer: str = "") -> list[str]:
    """What is wrong with a value by a committed schema."""
    return [f"{error.instance_path}: {error.message}" for error in validator(name, pointer).iter_errors(value)]


@cache
def _registry() -> jsonschema_rs.Registry:
    files = [file.relative_to(REFERENCE).as_posix() for file in sorted(REFERENCE.rglob("*.json"))]
    return jsonschema_rs.Registry([(f"{_BASE}{name}", committed(name)) for name in files])
