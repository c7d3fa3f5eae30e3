"""Makes the message of an event: a CloudEvent 1.0 in JSON with the payload as it is stored, and signed headers.

The members are those of the topic of events (`workers.kafka.publishing.events_publication`). Personal fields stay
sealed.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson

from eventstore.webhooks.outgoing import Outgoing
from eventstore.webhooks.signatures import signatures

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
USER_AGENT = "Daybook-Webhooks"


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted."""

    headers: Mapping[str, str]
    body: bytes


def body_of(event: Outgoing, log: UUID) -> bytes:
    """The body of an event."""
    head = {
        "specversion": "1.0",
        "id": str(event.position),
        "source": f"urn:daybook:log:{log}",
        "type": event.type,
        "time": event.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "subject": event.stream,
        "streamversion": event.version,
    }
    if event.encoding:
        binary = base64.b64encode(event.payload).decode()
        return orjson.dumps(head | {"datacontenttype": "application/octet-stream", "data_base64": binary})
    begun = orjson.dumps(head | {"datacontenttype": "application/json"})
    return begun[:-1] + b',"data":' + event.payload + b"}"


def message_of(webhook: str, event: Outgoing, log: UUID, keys: Iterable[bytes], at: datetime) -> Message:
    """The message of an event to a webhook, signed with these keys. `at` is the time of the attempt."""
    id, timestamp, body = f"{webhook}:{event.position}", int(at.timestamp()), body_of(event, log)
    headers = {
        "content-type": CONTENT_TYPE,
        "user-agent": USER_AGENT,
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(keys, id, timestamp, body),
    }
    return Message(headers, body)
