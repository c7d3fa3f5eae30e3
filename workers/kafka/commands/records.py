"""The record of a command. Its value is an item as in a batch; its key for retries is a header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from api.commands.execution import checked_key
from api.gateway.problems import Problem

KEY_HEADER: Final = "idempotency-key"
NAMED_KEY: Final = f"one header {KEY_HEADER} of 1 to 255 printable ASCII characters"


class Command(NamedTuple):
    """A record that can be answered."""

    offset: int
    key: str
    value: bytes


def commands_of(records: Sequence[Any]) -> list[Command]:
    """The records with a valid key, in order. Nobody would find the answer to another one."""
    keyed = [(record, key_of(record.headers)) for record in records]
    return [Command(record.offset, key, record.value or b"") for record, key in keyed if key is not None]


def key_of(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """The idempotency key in the headers of a record; None if there is none, more than one, or one that is not valid.

    Names of headers are compared without regard to case, as in HTTP.
    """
    stated = [value for name, value in headers if name.lower() == KEY_HEADER]
    if len(stated) != 1 or stated[0] is None:
        return None
    try:
        return checked_key(stated[0].decode("latin-1"))
    except Problem:
        return None
