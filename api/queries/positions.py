"""Tokens and cursors: opaque to clients, checked when they come back."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from api.gateway.problems import Problem
from eventstore.log.read import Head


def token(log: str, epoch: int, position: int) -> str:
    """The token of a position, with the log and its epoch: ``main.1.42``."""
    return f"{log}.{epoch}.{position}"


def read_token(text: str, log: str, head: Head) -> int:
    """The position of a token. Raises `Problem` for a token of another log, of another epoch, or beyond the head.

    A position of an earlier epoch belongs to the history before a restore. Clients get positions from answers, which
    were committed before this head was read, so none is beyond the head. A reader that began beyond the head would
    miss the events up to its position.
    """
    parts = text.rsplit(".", 2)
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts[1:]):
        raise Problem("position", f"{text[:80]!r} is not a position such as '{log}.{head.epoch}.42'.")
    if parts[0] != log:
        raise Problem("position", f"{text[:80]!r} is of the log {parts[0][:60]!r}; this is {log!r}.")
    if int(parts[1]) != head.epoch:
        detail = f"{text!r} is of epoch {parts[1]}; since a restore this log is in epoch {head.epoch}."
        raise Problem("position", detail)
    position = int(parts[2])
    if position > head.position:
        end = token(log, head.epoch, head.position)
        raise Problem("position", f"{text!r} is beyond the head of the log, {end}.")
    return position


def cursor(key: Any) -> str:
    """The cursor of a key: opaque text. The next page begins after the key."""
    return urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def read_cursor(text: str | None, kind: type[int] | type[str]) -> Any:
    """The key of a cursor; None without a cursor. Raises `Problem` for a text that no page has given.

    In earlier versions lists were in the order of ids. Their cursors have an id, which has no meaning in the order of
    the log.
    """
    if text is None:
        return None
    try:
        key = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        key = None
    bounded = 0 <= key < 2**63 if isinstance(key, int) else isinstance(key, str) and "\0" not in key
    if kind is int and bounded and isinstance(key, str):
        raise Problem(
            "malformed",
            f"{text[:80]!r} is a cursor of an earlier version, when this list was in the order of ids. It is in the "
            "order of the log now: start again without a cursor.",
        )
    if type(key) is not kind or not bounded:
        raise Problem("malformed", f"{text[:80]!r} is not a cursor of this list.")
    return key


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_key(at: datetime, *more: str) -> str:
    """The key of a list that is ordered by time: microseconds since 1970, and what tells equal times apart."""
    return "\n".join([str((at - _EPOCH) // _MICROSECOND), *more])


def read_time_cursor(text: str | None, more: int) -> tuple[datetime, tuple[str, ...]] | None:
    """The time and `more` other texts of a cursor by time; None without a cursor. Raises `Problem` as `read_cursor`."""
    key = read_cursor(text, str)
    if key is None:
        return None
    microseconds, *rest = key.split("\n")
    try:
        if len(rest) != more or not (microseconds.isascii() and microseconds.isdigit()):
            raise ValueError
        return _EPOCH + int(microseconds) * _MICROSECOND, tuple(rest)
    except (ValueError, OverflowError):
        raise Problem("malformed", "The cursor is not one of this list.") from None
