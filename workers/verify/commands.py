"""Checks that every event decodes, and that every recorded answer can be given again and matches its events.

It goes over the log once, in windows of bounded size. The commands of a window are found by their last position.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from domain.registry import COMMUTING, explain
from eventstore.log.answers import Outcome
from eventstore.log.append import MOST_EVENTS_PER_UNIT
from eventstore.log.codec import Codec
from workers.verify.log import READABLE, Log
from workers.verify.report import SAMPLE, Check, Finding, checked

REPEATABLE: Final = "recorded answers can be given again"
WITHOUT_EVENTS: Final = "accepted, and their events are not there"
WINDOW: Final = 20_000
"""Most events in memory at once."""
FIRST_WINDOW: Final = 1_000
"""Events of the first window, when their size is not known yet."""
WINDOW_BYTES: Final = 32 * 2**20
"""Bytes of payload that a window should not exceed. The window before gives the estimate, so large events make small
windows."""
HASH_BYTES: Final = 32
STATUSES: Final[Mapping[int, frozenset[int]]] = {
    Outcome.ACCEPTED: frozenset({200, 201}),
    Outcome.REFUSED: frozenset({422}),
    Outcome.EXPECTATION_FAILED: frozenset({409, 412}),
}
"""The HTTP statuses that an answer of each outcome may have."""

_STREAM_IDS = ("account", "order", "post", "transaction")
_EVENT_FIELDS = ("currency", "hold", "number", "revision", "slug")
_EVENTS = """
SELECT position, unit_end, stream, version, type, payload FROM log.events
 WHERE log = %(log)s AND encoding = 0 AND position > %(after)s ORDER BY position LIMIT %(limit)s
"""
_COMMAND = "actor, key, request_hash, outcome, status, rule, result, last_position"
_COMMANDS = f"""
SELECT {_COMMAND} FROM log.commands WHERE log = %(log)s AND last_position > %(after)s AND last_position <= %(upto)s
"""  # noqa: S608 - constants of this module
_OTHERS = f"""
SELECT {_COMMAND} FROM log.commands
 WHERE log = %(log)s AND (last_position IS NULL OR last_position NOT BETWEEN 1 AND %(last)s)
"""  # noqa: S608 - constants of this module


class Command(NamedTuple):
    """A row of `log.commands`."""

    actor: str
    key: str
    request_hash: bytes
    outcome: int
    status: int
    rule: str | None
    result: bytes
    last_position: int | None


class Decoded(NamedTuple):
    """An event of a unit. `event` is the error if it cannot be decoded."""

    position: int
    stream: str
    version: int
    type: str
    event: Any


@dataclass(slots=True)
class _Walk:
    events: int = 0
    undecodable: dict[int, str] = field(default_factory=dict)
    commands: int = 0
    without_events: int = 0
    offences: int = 0
    findings: list[Finding] = field(default_factory=list)

    def judge(self, command: Command, unit: Sequence[Decoded] | None) -> None:
        if command.outcome == Outcome.ACCEPTED and not unit:
            self.without_events += 1  # for the check that answers match their events
            return
        self.commands += 1
        what = wrong_with(command, unit or ())
        if what is not None:
            self.offences += 1
            if len(self.findings) < SAMPLE:
                message = f"command {command.key} of {command.actor}: {what}"
                self.findings.append(Finding(REPEATABLE, command.last_position, message))


def check_commands(log: Log, codec: Codec) -> tuple[Check, Check]:
    """Run the checks that events decode, and that recorded answers can be given again."""
    walk = _Walk()
    for units, commands in _windows(log, codec, walk):
        for command in commands:
            walk.judge(command, units.get(command.last_position or 0))
    with log.connection.cursor("others", binary=True) as others:
        others.execute(_OTHERS.encode(), {"log": log.head.log_number, "last": log.totals.last})
        for row in others:
            walk.judge(Command._make(row), None)
    why = walk.undecodable | log.unreadable
    readable = [Finding(READABLE, position, why[position]) for position in sorted(why)]
    return (
        checked(READABLE, "events in JSON", walk.events, log.totals.json, readable),
        checked(
            REPEATABLE,
            "commands",
            walk.commands,
            log.totals.commands,
            walk.findings,
            offences=walk.offences,
            not_covered={WITHOUT_EVENTS: walk.without_events},
        ),
    )


def _windows(log: Log, codec: Codec, walk: _Walk) -> Iterator[tuple[dict[int, list[Decoded]], Iterable[Command]]]:
    """The units of each window by their last position, with their commands. Counts every event."""
    begun: dict[int, list[Decoded]] = {}
    after, limit = 0, FIRST_WINDOW
    while after < log.totals.last:
        bounds = {"log": log.head.log_number, "after": after, "limit": limit}
        rows = log.connection.execute(_EVENTS, bounds, binary=True).fetchall()
        after = rows[-1][0] if len(rows) == limit else log.totals.last  # the rest is opaque or missing
        size = sum([len(row[5]) for row in rows])
        limit = max(1, min(WINDOW, WINDOW_BYTES * limit // max(size, 1)))
        events = codec.decode_many([(type, payload, stream, version) for _, _, stream, version, type, payload in rows])
        walk.events += len(rows)
        for (position, unit_end, stream, version, type, _), event in zip(rows, events, strict=True):
            if isinstance(event, Exception):
                walk.undecodable[position] = f"version {version} of {stream}: {event}"
            if position <= unit_end < position + MOST_EVENTS_PER_UNIT:  # the check of units reports other ends
                begun.setdefault(unit_end, []).append(
                    Decoded(position=position, stream=stream, version=version, type=type, event=event)
                )
        with log.connection.cursor("ended", binary=True) as ended:
            ended.itersize = FIRST_WINDOW
            ended.execute(_COMMANDS.encode(), {**bounds, "upto": after})
            yield begun, map(Command._make, ended)
        begun = {end: unit for end, unit in begun.items() if end > after}


def wrong_with(command: Command, unit: Sequence[Decoded]) -> str | None:
    """The reason why this command cannot have got the recorded answer; None if it can. `unit` has its events."""
    if len(command.request_hash) != HASH_BYTES:
        return f"the hash of the request has {len(command.request_hash)} bytes, not {HASH_BYTES}"
    statuses = STATUSES.get(command.outcome, frozenset())
    if command.status not in statuses:
        known = " or ".join(map(str, sorted(statuses)))
        return f"outcome {command.outcome} has status {command.status}, not {known}"
    try:
        result = orjson.loads(command.result)
    except orjson.JSONDecodeError as error:
        return f"the result is not JSON: {error}"
    if not isinstance(result, dict):
        return "the result is not a JSON object"
    if command.outcome == Outcome.ACCEPTED:
        return _wrong_with_accepted(result, unit)
    if command.outcome == Outcome.EXPECTATION_FAILED:
        return _wrong_with_expectation(command.rule, result)
    return _wrong_with_refusal(command.rule, result)


def _wrong_with_refusal(rule: str | None, figures: Mapping[str, Any]) -> str | None:
    try:
        explain(str(rule), figures)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return f"the refusal by rule {rule} cannot be explained: {type(error).__name__} {error}"
    return None


def _wrong_with_expectation(rule: str | None, result: Mapping[str, Any]) -> str | None:
    expected, actual = result.get("expected"), result.get("actual")
    if rule != "expectation_failed":
        return f"a failed expectation has rule {rule}"
    if not (isinstance(expected, dict) and isinstance(actual, dict) and expected.keys() == actual.keys()):
        return "a failed expectation does not say which versions were expected and which were found"
    return "a failed expectation says that the versions were as expected" if expected == actual else None


def _wrong_with_accepted(result: Mapping[str, Any], unit: Sequence[Decoded]) -> str | None:
    """Compare the versions and ids of an answer with those of its events."""
    streams: dict[str, int] = {}
    types: dict[str, set[str]] = defaultdict(set)
    for one in unit:
        streams[one.stream] = one.version
        types[one.stream].add(one.type)
    versions = result.get("versions")
    if not isinstance(versions, dict):
        return "the result has no versions"
    for stream, version in versions.items():
        if streams.get(stream) != version:
            return f"the result says version {version} of {stream}, and its events {streams.get(stream)}"
    for stream in streams.keys() - versions.keys():
        if not types[stream] <= _ENTRIES:
            return f"the result does not say the version of {stream}"
    parts = result.get("results")
    answers = parts if isinstance(parts, list) else [result]
    if not all(isinstance(answer, dict) for answer in answers):
        return "the result of an item is not a JSON object"
    return next((what for answer in answers if (what := _wrong_with_ids(answer, streams, unit))), None)


def _wrong_with_ids(answer: Mapping[str, Any], streams: Mapping[str, int], unit: Sequence[Decoded]) -> str | None:
    for name in _STREAM_IDS:
        if name in answer and answer[name] not in streams:
            return f"the result says {name} {answer[name]}, and its events are on {', '.join(sorted(streams))}"
    balances = answer.get("balances", {})
    if not (isinstance(balances, dict) and balances.keys() <= streams.keys()):
        return "the result has balances of accounts that its events are not on"
    for name in _EVENT_FIELDS:
        stated = [getattr(one.event, name) for one in unit if hasattr(one.event, name)]
        if name in answer and stated and answer[name] not in stated:
            return f"the result says {name} {answer[name]}, and its events {', '.join(map(str, dict.fromkeys(stated)))}"
    return None


_ENTRIES = frozenset(COMMUTING)
