"""Erases a person: the owner's function of the database, with the metadata of its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection

from domain.kernel import RULES_VERSION
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.log.read import CHANNEL
from workers.clock_and_ids import now
from workers.composition import system_principal

PRINCIPAL: Final = system_principal("system:erase-subject")
_ERASE = "SELECT position, appended, destroyed FROM log.erase_subject(%s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What became of an erasure."""

    subject: str
    position: int  # of the event that says it
    appended: bool  # whether the event is new
    destroyed: bool  # whether the key was there, or could still have been made

    def __str__(self) -> str:
        if self.appended and self.destroyed:
            return f"{self.subject} is erased: the key is destroyed, and event {self.position} says so."
        if self.appended:
            return f"The key of {self.subject} was destroyed before; now event {self.position} says so."
        if self.destroyed:
            return f"{self.subject} was erased by event {self.position}, and had a key again; it is destroyed."
        return f"{self.subject} was erased before, by event {self.position}. Nothing is changed."


def erase_subject(connection: Connection[Any], log_number: int, subject: str, key: str) -> Erasure:
    """Destroy the key of a person, append the event, and wake the projectors. The connection acts as the owner.

    `key` is the idempotency key. Raises `psycopg.errors.InvalidParameterValue` if it belongs to another request, or if
    the subject is not 1 to 100 visible ASCII characters.
    """
    actor = encoded_actor(PRINCIPAL.recorded)
    recorded = metadata(actor, "EraseSubject", now(), RULES_VERSION, key)
    asked = (log_number, subject, PRINCIPAL.id, key, recorded)
    row = connection.execute(_ERASE, asked).fetchone()
    assert row is not None, "the function returns a row"
    done = Erasure(subject, *row)
    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{log_number}:{done.position}"))
    return done
