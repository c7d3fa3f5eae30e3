"""An approved request about a person: found by its id, held against the record, carried out by commands of the machine.

The streams are read from the log, not from read tables, which lag.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from psycopg import Connection

from domain import registry
from domain.kernel import State
from domain.people.approval import Approval
from domain.people.privacy_record import PrivacyRecord, privacy_stream
from eventstore.log.answers import Answer, Outcome
from eventstore.log.codec import Codec
from eventstore.log.read import STREAM_PAGE, read_stream
from workers.clock_and_ids import now
from workers.composition import WriteSide, system_principal, system_submission

PRINCIPAL: Final = system_principal("system:people")
MOST_KEY: Final = 200
"""Characters of the key of a request. The keys of its commands are made of it, and have at most 255."""


class RequestError(RuntimeError):
    """A request cannot be carried out. The message is for people, and has nothing personal."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A request that was approved, and the record of the person it is about."""

    approval: str
    person: str
    record: PrivacyRecord


def state_of(connection: Connection[Any], log_number: int, codec: Codec, stream: str) -> State | None:
    """Fold a stream. None if it does not exist."""
    state: State | None = None
    while True:
        recorded = read_stream(
            connection, log_number, stream, after=0 if state is None else state.version, limit=STREAM_PAGE
        )
        for event in codec.decode_many([(row.type, row.payload, row.stream, row.version) for row in recorded]):
            if isinstance(event, Exception):
                raise event
            state = registry.evolve(state, event)
        if len(recorded) < STREAM_PAGE:
            return state


def approved(connection: Connection[Any], log_number: int, codec: Codec, id: str, action: str) -> Approved:
    """Return the approved request of this id and action. Raises `RequestError` for any other."""
    request = state_of(connection, log_number, codec, id)
    if not isinstance(request, Approval) or request.action != action:
        raise RequestError(f"there is no request {id} for {action}")
    if request.outcome != "approved":
        raise RequestError(f"the request {id} is {request.outcome}: an administrator who did not ask has to approve it")
    stream = privacy_stream(request.about)
    record = cast("PrivacyRecord | None", state_of(connection, log_number, codec, stream))
    return Approved(id, request.about, record or PrivacyRecord(0, stream))


def carry_out(side: WriteSide, command: Any, key: str) -> Answer:
    """Execute a command of the machine. Raises `RequestError` with the reason if it is refused."""
    submission = system_submission(PRINCIPAL, key, command, repr(command), side.log, now())
    [answer] = side.executor.execute([submission])
    if answer.outcome is Outcome.ACCEPTED:
        return answer
    if answer.outcome is Outcome.REFUSED and answer.rule is not None:
        raise RequestError(registry.explain(answer.rule, answer.result))
    raise RequestError(f"{type(command).__name__} was answered with {answer.outcome.name.lower()}: {answer.result}")
