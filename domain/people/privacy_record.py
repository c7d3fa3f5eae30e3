"""The privacy record of a person: legal holds, and what was approved and done to erase or export the person.

It has a stream of its own for each person, ``privacy:`` and their id. Events, state and fold are here, so that the
aggregate person can read the record; the decisions are in `domain.people.privacy`.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import replace

from domain.kernel import Event, Personal, Value

PRIVACY_PREFIX = "privacy:"
"""Beginning of the name of each stream of a privacy record."""


class LegalHoldPlaced(Event, frozen=True):
    """The person must not be erased, as long as this ground holds."""

    person: str
    ground: str  # a code, such as the number of a case; it names the hold
    reason: Personal


class LegalHoldLifted(Event, frozen=True):
    """This ground no longer forbids an erasure."""

    person: str
    ground: str
    reason: Personal


class ErasureApproved(Event, frozen=True):
    """Another person approved the erasure. It replaces an approval that was not used."""

    approval: str


class ErasureBegun(Event, frozen=True):
    """The erasure is carried out from now on, and nothing stops it. The person is deleted in this unit or before."""

    approval: str


class PersonErased(Event, frozen=True):
    """The erasure was carried out. The names of the person are released in the same unit."""

    approval: str
    erased_at: int  # position of `subject.erased.v1`, which destroyed the key


class ExportApproved(Event, frozen=True):
    """Another person approved the export. It replaces an approval that was not used."""

    approval: str


class PersonExported(Event, frozen=True):
    """What is known about the person was written to a file, as of a position of the log."""

    approval: str
    as_of: int


PrivacyEvent: TypeAlias = (
    LegalHoldPlaced | LegalHoldLifted | ErasureApproved | ErasureBegun | PersonErased | ExportApproved | PersonExported
)


class PrivacyRecord(Value, frozen=True):
    """The record of a person at a version of its stream."""

    version: int
    id: str
    holds: tuple[str, ...] = ()  # the grounds in force, in the order in which they were placed
    erasure: str | None = None  # the approval that may be used
    export: str | None = None
    begun: str | None = None  # the approval of the erasure that has begun
    erased_at: int | None = None  # position of the destruction of the key, once the erasure is done


def privacy_stream(person: str) -> str:
    """Return the name of the stream of a person's record."""
    return f"{PRIVACY_PREFIX}{person}"


def evolve(state: PrivacyRecord | None, event: PrivacyEvent) -> PrivacyRecord:
    """Return the record after the event."""
    before = state or PrivacyRecord(0, event.originator_id)
    version = event.originator_version
    match event:
        case LegalHoldPlaced():
            return replace(before, version=version, holds=(*before.holds, event.ground))
        case LegalHoldLifted():
            return replace(before, version=version, holds=tuple(one for one in before.holds if one != event.ground))
        case ErasureApproved():
            return replace(before, version=version, erasure=event.approval)
        case ErasureBegun():
            return replace(before, version=version, erasure=None, export=None, begun=event.approval)
        case PersonErased():
            return replace(before, version=version, erased_at=event.erased_at)
        case ExportApproved():
            return replace(before, version=version, export=event.approval)
        case PersonExported():
            return replace(before, version=version, export=None)
