"""Creates the policies of a log: the first event of each, which needs no key of a person and no master key."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from domain.kernel import RULES_VERSION, Event
from domain.registry import CATALOGUE, POLICIES
from eventstore.library.settings import LOG_PREFIX
from eventstore.log.answers import ACCEPTED
from eventstore.log.append import AppendBatch, Appender, NewEvents
from eventstore.log.codec import encode_each
from eventstore.log.metadata import encoded_actor, metadata
from workers.clock_and_ids import now
from workers.composition import system_principal

PRINCIPAL: Final = system_principal("system:migrate")
_CREATED: Final = 201
_LOGS = "SELECT log FROM log.logs WHERE NOT starts_with(name, %s) ORDER BY log"
_NAMES: Final = {entry.event: entry.name for entry in CATALOGUE if entry.event is not None}


def create_policies(connection: Connection[Any]) -> None:
    """Append the first event of each policy to each log of Daybook that does not have it.

    It can be run again at any time, also while others append. Logs of the `eventsourcing` library have no policies.
    The connection is autocommit, and may append.
    """
    at = now()
    for (log,) in connection.execute(_LOGS, (LOG_PREFIX,)).fetchall():
        for event in POLICIES:
            appender = Appender(connection, log, ())
            appender.send(_batch(event, at))
            appender.receive()  # a conflict or a duplicate: the policy is there


def _batch(event: Event, at: datetime) -> AppendBatch:
    """The unit with this event, as if a command had created the policy."""
    stream, key = event.originator_id, f"create {event.originator_id}"
    fields = {name: getattr(event, name) for name in event.__struct_fields__[2:]}  # without stream and version
    payload, result = encode_each([fields, {"versions": {stream: 1}}])
    request = hashlib.sha256(key.encode()).digest()
    return AppendBatch(
        senders=[(PRINCIPAL.id, key)],
        records=[(ACCEPTED, _CREATED, None, result, request, None)],
        metadata=[metadata(encoded_actor(PRINCIPAL.recorded), "CreatePolicy", at, RULES_VERSION, key)],
        reads=[[(stream, 0, False)]],
        counts=[1],
        events=NewEvents(streams=[stream], types=[_NAMES[type(event)]], payloads=[payload], commute=[False]),
    )
