"""Reports as data: frozen dataclasses whose `ok` is derived, and the one JSON form that programs get of them."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime
from typing import Any

import orjson


def as_json(report: Any) -> str:
    """The report as JSON, with the `ok` of each part that has one."""
    return orjson.dumps(as_data(report), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


def as_data(value: Any) -> Any:
    """The report as plain dictionaries and lists."""
    if dataclasses.is_dataclass(value):
        data = {field.name: as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"ok": value.ok, **data} if hasattr(value, "ok") else data
    if isinstance(value, dict):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    return value if isinstance(value, str | int | float | bool | date | datetime | None) else str(value)
