"""Checks a unit at a time: every event decodes, every recorded answer can be given again and matches its events, and
events that need others beside them have them in their unit.

It goes over a range of positions once, in windows of bounded size. The commands of a window are found by their last
position. A unit belongs to the range that has its end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from psycopg import Connection

from domain.registry import COMMUTING, check_unit, explain, has_unit_rule
from eventstore.log.answers import Outcome
from eventstore.log.append import MOST_EVENTS_PER_UNIT
from eventstore.log.codec import Codec
from workers.verify.log import IN_ORIGINAL, READABLE, UNREADABLE, Log
from workers.verify.part import FIRST_WINDOW, Part, decided, inapplicable, next_window
from workers.verify.policies import Policies
from workers.verify.report import Check, Finding, Tally, checked

REPEATABLE: Final = "recorded answers can be given again"
WITHOUT_EVENTS: Final = "accepted, and their events are not there"
WITHOUT_END: Final = "whose end is not in the log"
UNITS_KEEP_RULES: Final = "events have the events beside them that they need"
HASH_BYTES: Final = 32
STATUSES: Final[Mapping[int, frozenset[int]]] = {
    Outcome.ACCEPTED: frozenset({200, 201}),
    Outcome.REFUSED: frozenset({422}),
    Outcome.EXPECTATION_FAILED: frozenset({409, 412}),
}
"""The HTTP statuses that an answer of each outcome may have."""

_STREAM_IDS = ("account", "order", "post", "transaction")
_EVENT_FIELDS = ("currency", "hold", "number", "revision", "slug")
# The events before the range are those of a unit that ends in it.
_EVENTS = """
SELECT position, unit_end, stream, version, type, CASE unit_end WHEN position THEN metadata END, payload
  FROM log.events
 WHERE log = %(log)s AND encoding = 0 AND position > %(after)s AND position <= %(upto)s
   AND (position > %(first)s OR unit_end > %(first)s)
 ORDER BY position LIMIT %(limit)s
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
class Walk:
    """What was covered and found in a range of positions. Those of several ranges add up."""

    events: int = 0
    undecodable: dict[int, str] = field(default_factory=dict)
    answers: Tally = field(default_factory=lambda: Tally(REPEATABLE))
    units: Tally = field(default_factory=lambda: Tally(UNITS_KEEP_RULES))

    def add(self, other: Walk) -> None:
        """Add another range."""
        self.events += other.events
        self.undecodable |= other.undecodable
        self.answers.add(other.answers)
        self.units.add(other.units)

    def judge(self, command: Command, unit: Sequence[Decoded] | None) -> None:
        """Check the record of a command against its events."""
        if command.outcome == Outcome.ACCEPTED and not unit:
            self.answers.not_covered[WITHOUT_EVENTS] += 1  # for the check that answers match their events
            return
        self.answers.covered += 1
        what = wrong_with(command, unit or ())
        if what is not None:
            self.answers.find(command.last_position, f"command {command.key} of {command.actor}: {what}")

    def check_unit(self, unit: Sequence[Decoded], metadata: bytes | None, log_name: str, policies: Policies) -> None:
        """Check that each event of a unit has those beside it that it needs. The metadata is that of its last event."""
        events = [one.event for one in unit]
        if metadata is None:
            self.units.not_covered[WITHOUT_END] += 1  # the check of units reports it
            return
        if any(isinstance(event, Exception) for event in events):
            self.units.not_covered[UNREADABLE] += 1
            return
        self.units.covered += 1
        if not any(map(has_unit_rule, events)):
            return
        of_unit = decided(metadata, log_name, policies.before(unit[0].position))
        if isinstance(of_unit, str):
            self.units.find(unit[-1].position, of_unit)
            return
        try:
            for broken in check_unit(events, of_unit):
                self.units.find(next(one.position for one in unit if one.event is broken.event), broken.what)
        except Exception as error:
            self.units.find(unit[0].position, inapplicable(error))


def walk(connection: Connection[Any], part: Part, codec: Codec) -> Walk:
    """Check the units that end in a range of positions, and their commands. The first range also has the commands that
    end nowhere."""
    result, policies = Walk(), Policies(connection, part.log_number, codec)
    for units, metadata, commands in _windows(connection, part, codec, result):
        for command in commands:
            result.judge(command, units.get(command.last_position or 0))
        for end, unit in units.items():
            result.check_unit(unit, metadata.get(end), part.log_name, policies)
    if part.after == 0:
        with connection.cursor("others", binary=True) as others:
            others.execute(_OTHERS.encode(), {"log": part.log_number, "last": part.last})
            for row in others:
                result.judge(Command._make(row), None)
    return result


def checks_of(log: Log, walk: Walk) -> tuple[Check, Check, Check]:
    """The checks that events decode, that recorded answers can be given again, and that units are complete."""
    if log.is_copy:
        walk.answers.not_covered[IN_ORIGINAL] = log.totals.hashed
    why = walk.undecodable | log.unreadable
    readable = [Finding(READABLE, position, why[position]) for position in sorted(why)]
    return (
        checked(READABLE, "events in JSON", walk.events, log.totals.json, readable),
        walk.answers.check("commands", log.totals.commands + log.totals.hashed),
        walk.units.check("units", log.totals.units),
    )


def _windows(
    connection: Connection[Any], part: Part, codec: Codec, result: Walk
) -> Iterator[tuple[dict[int, list[Decoded]], dict[int, bytes], Iterable[Command]]]:
    """The units that end in each window by their last position, their metadata, and their commands. Counts every event
    of the range."""
    begun: dict[int, list[Decoded]] = {}
    metadata: dict[int, bytes] = {}
    after, limit = max(0, part.after - MOST_EVENTS_PER_UNIT), FIRST_WINDOW
    while after < part.upto:
        bounds = {"log": part.log_number, "after": after, "upto": part.upto, "first": part.after, "limit": limit}
        rows = connection.execute(_EVENTS, bounds, binary=True).fetchall()
        after = rows[-1][0] if len(rows) == limit else part.upto  # the rest is opaque or missing
        limit = next_window(limit, rows, payload=-1)
        decoded = codec.decode_many([(row[4], row[6], row[2], row[3]) for row in rows])
        for (position, unit_end, stream, version, type, of_unit, _), event in zip(rows, decoded, strict=True):
            if position > part.after:
                result.events += 1
                if isinstance(event, Exception):
                    result.undecodable[position] = f"version {version} of {stream}: {event}"
            if position <= unit_end < position + MOST_EVENTS_PER_UNIT:  # the check of units reports other ends
                begun.setdefault(unit_end, []).append(
                    Decoded(position=position, stream=stream, version=version, type=type, event=event)
                )
                if of_unit is not None:
                    metadata[unit_end] = of_unit
        ended = {end: unit for end, unit in begun.items() if end <= after}
        begun = {end: unit for end, unit in begun.items() if end > after}
        with connection.cursor("ended", binary=True) as commands:
            commands.itersize = FIRST_WINDOW
            first = max(bounds["after"], part.after)
            commands.execute(_COMMANDS.encode(), {"log": part.log_number, "after": first, "upto": after})
            yield ended, metadata, map(Command._make, commands)
        metadata = {end: one for end, one in metadata.items() if end > after}
    if part.upto == part.last:
        result.units.not_covered[WITHOUT_END] += len(begun)  # the check of units reports them


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
