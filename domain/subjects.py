"""Subjects: the persons whose keys seal personal fields. The one event of a subject says that the key was destroyed.

Each subject has a stream of its own, ``subject:`` and the id that personal events name. So a person needs no other
record to be erased, and a later aggregate of persons keeps its own streams. No command makes the event: the owner's
function `log.erase_subject` appends it in the transaction that destroys the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Event, Value

SUBJECT_PREFIX = "subject:"
"""Beginning of the name of each stream of a subject."""


class SubjectErased(Event, frozen=True):
    """The key of a person was destroyed. Nobody can read what it sealed, and read models forget their text."""

    subject: str  # the id, which is a code and stays in clear


class Subject(Value, frozen=True):
    """A person whose key was destroyed."""

    version: int
    id: str


def subject_stream(subject: str) -> str:
    """Return the name of the stream of a subject."""
    return f"{SUBJECT_PREFIX}{subject}"


def evolve(state: Subject | None, event: SubjectErased) -> Subject:
    """Return the state after the only event of the stream."""
    return Subject(event.originator_version, event.subject)


def check(before: Subject | None, events: Sequence[SubjectErased], decided: Decided) -> Iterator[Broken]:
    """Find a second erasure, and one of another person than its stream is of. `verify` compares it with the key."""
    for event in events:
        if before is not None or event is not events[0]:
            yield Broken(event, f"{event.originator_id} is erased again; a person is erased once")
        if event.originator_id != subject_stream(event.subject):
            yield Broken(event, f"{event.originator_id} says that {event.subject} was erased")


AGGREGATE = Aggregate(
    name="subject",
    prefix=SUBJECT_PREFIX,
    events=(EventType("subject.erased.v1", SubjectErased),),
    evolve=evolve,
    written_once=True,
    check=check,
)
