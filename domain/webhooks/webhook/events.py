"""The events of a webhook. None of them has a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, get_args

from domain.kernel import Event

Cause = Literal[
    "unresolvable",
    "address_refused",
    "scheme_refused",
    "unreachable",
    "tls",
    "too_slow",
    "malformed",
    "redirected",
    "answered",
    "gone",
]
"""What an attempt failed of: no address for the name; an address, or a scheme, that the settings do not allow; no
connection; no trusted connection; no answer in time; no HTTP; a redirect, which is not followed; another status than
2xx; 410, which says that nobody will take events there any more."""
LASTING: frozenset[Cause] = frozenset({"gone"})
"""Causes after which the webhook is disabled at once."""
CAUSES: tuple[Cause, ...] = get_args(Cause)


class WebhookCreated(Event, frozen=True):
    """Events are sent to an address from a position on. It is the first event of its stream."""

    url: str
    areas: tuple[str, ...]  # only events of these areas; empty: of all
    types: tuple[str, ...]  # only these types of events, named without their version; empty: all
    accounts: tuple[str, ...]  # only events on the streams of these accounts; empty: on all streams
    contact: str  # the person who gets a mail when it is disabled
    failures: int  # the policy: it is disabled after so many failed attempts in a row ...
    hours: int  # ... that lasted for so many hours
    after: int | None  # events after this position; None: after this event


class WebhookChanged(Event, frozen=True):
    """Address, filter, contact and policy are these from now on. What failed before does not count any more."""

    url: str
    areas: tuple[str, ...]
    types: tuple[str, ...]
    accounts: tuple[str, ...]
    contact: str
    failures: int
    hours: int


class WebhookSecretRotated(Event, frozen=True):
    """A new secret signs. Those before sign too until the overlap has ended, or their own that ends sooner."""

    overlap_until: datetime  # aware, UTC


class WebhookPaused(Event, frozen=True):
    """Nothing is sent until it is resumed."""


class WebhookDisabled(Event, frozen=True):
    """The policy disabled it: its receiver took nothing for too long, or answered that it never will."""

    contact: str
    cause: Cause  # of the last attempt
    reply: int | None  # status of the receiver's answer to it
    failures: int  # failed attempts in a row
    since: datetime  # when the first of them failed; aware, UTC


class WebhookResumed(Event, frozen=True):
    """It is sent events again, from where it was. What failed before does not count any more."""


class WebhookReplayed(Event, frozen=True):
    """Events after this position are sent, also those that were sent before."""

    after: int


class WebhookRemoved(Event, frozen=True):
    """It is gone for good."""


WebhookEvent: TypeAlias = (
    WebhookCreated
    | WebhookChanged
    | WebhookSecretRotated
    | WebhookPaused
    | WebhookDisabled
    | WebhookResumed
    | WebhookReplayed
    | WebhookRemoved
)
