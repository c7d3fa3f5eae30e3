"""Prints events and states for people: money in major units, no empty fields, no id broken across lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from domain.money import show
from domain.registry import AMOUNTS, PAIRS
from eventstore.log.read import Recorded

_INDENT = " " * 8
LEAST_WIDTH = 40


def in_major_units(data: Any, currency: str | None = None) -> Any:
    """The result of `plain` with amounts as decimal strings. `currency` is that of the surrounding object."""
    if isinstance(data, list):
        return [in_major_units(one, currency) for one in data]
    if not isinstance(data, dict):
        return data
    currency = data.get("currency") or data.get("profile", {}).get("currency") or currency
    shown: dict[str, Any] = {}
    for name, value in data.items():
        if name in AMOUNTS and isinstance(value, int) and currency is not None:
            shown[name] = show(value, currency)
        elif _are_tuples(name, value):
            named = [dict(zip(PAIRS[name], one, strict=True)) for one in value]
            shown[name] = in_major_units(named, currency)
        else:
            shown[name] = in_major_units(value, currency)
    return shown


def _are_tuples(name: str, value: Any) -> bool:
    """Whether a value is a list of the tuples that `PAIRS` names. In another aggregate the name may mean others."""
    members = PAIRS.get(name)
    if members is None or not isinstance(value, list):
        return False
    return all(isinstance(one, list) and len(one) == len(members) for one in value)


def described(recorded: Recorded, data: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """The lines of an event, at most `width` columns wide; None for no limit."""
    by = orjson.loads(recorded.metadata)["actor"]["id"]
    at = recorded.recorded_at.strftime("%Y-%m-%d %H:%M:%S")
    yield f"{recorded.version:>6}  {recorded.type}"
    message = (f"at {recorded.position}, {at} UTC, by {by}", said(data))
    for text in filter(None, message):
        yield from wrapped(text, width)


def wrapped(text: str, width: int | None) -> list[str]:
    """The lines of a text below a heading, at most `width` columns wide; None for no limit."""
    if width is None:
        return [_INDENT + text]
    return textwrap.wrap(
        text,
        max(width, LEAST_WIDTH),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def said(data: Mapping[str, Any]) -> str:
    """The members of an event in one line: money in major units, no empty member."""
    return _said(in_major_units(data), data.get("currency"))


def _said(data: Mapping[str, Any], currency: str | None) -> str:
    return ", ".join(
        f"{name} {_shown(name, value, currency)}"
        for name, value in data.items()
        if value is not None and name != "currency"
    )


def _shown(name: str, value: Any, currency: str | None) -> str:
    if isinstance(value, list):
        named = [one for one in value if isinstance(one, dict)]
        if len(named) < len(value):  # codes, such as the areas of an API key
            return " ".join(printable(str(one)) for one in value)
        return "; ".join(_said(one, one.get("currency", currency)) for one in named)
    if name in AMOUNTS and currency is not None:
        return f"{value} {currency}"
    return printable(str(value))


def printable(text: str) -> str:
    """A client's text with control characters escaped, so that it cannot control the terminal of an auditor."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
