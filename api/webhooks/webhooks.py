"""The routes of webhooks: what is sent where, and what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, NotRequired

from fastapi import APIRouter, Query, Request
from psycopg import Connection
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import ACCOUNT_A, Body, Id, Nothing, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import SUPERVISORS
from api.gateway.problems import Problem
from api.people.access import refuse_on_replicas
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of, values_of
from api.services import Services, services
from domain.registry import AREAS, CATALOGUE
from domain.webhooks.webhook import (
    LEAST_FAILURES,
    LEAST_HOURS,
    MOST_ACCOUNTS,
    MOST_AREAS,
    MOST_FAILURES,
    MOST_HOURS,
    MOST_OVERLAP,
    MOST_POSITION,
    MOST_TYPES,
    MOST_URL,
    URL,
    WEBHOOK,
    Cause,
    ChangeWebhook,
    CreateWebhook,
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateWebhookSecret,
    Status,
    unversioned,
)
from eventstore.log.answers import Answer
from eventstore.webhooks.deliveries import Delivery as DeliveryRow
from eventstore.webhooks.deliveries import deliveries
from eventstore.webhooks.positions import Position, read_position
from eventstore.webhooks.signatures import secret_of, signing_key
from projections.engine.listing import Listed
from projections.webhooks import webhooks as queries
from projections.webhooks.webhooks import WebhookRow

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

TYPES: Final = tuple(sorted({unversioned(entry.name) for entry in CATALOGUE}))
"""The types of events, without versions."""
ERRORS: Final[Mapping[Cause, str]] = {
    "unresolvable": "The name of the receiver has no address, or it was not found in time.",
    "address_refused": "The name leads to an address that is not public, and the settings allow public ones only.",
    "scheme_refused": "The address begins with http://, and the settings allow https:// only.",
    "unreachable": "The receiver took no connection, or ended it without an answer.",
    "tls": "No trusted connection: the certificate of the receiver is not valid for its name.",
    "too_slow": "The receiver did not answer in time.",
    "malformed": "The receiver's answer is no HTTP.",
    "redirected": "The receiver answered with a redirect, which is not followed.",
    "answered": "The receiver answered with a status other than 2xx.",
    "gone": "The receiver answered 410: it takes nothing any more.",
}
"""What an attempt failed of, in a sentence."""

StatusFilter = Annotated[str, choice(values_of(Status))] | None
Failed = Annotated[bool | None, Query(description="Only attempts that failed, or only those that did not")]


class WebhookBody(Body):
    """Where events are sent, which ones, who gets a mail, and when it is disabled."""

    url: Annotated[
        str,
        StringConstraints(max_length=MOST_URL, pattern=URL),
        Field(description="https://, without a user, a query and a fragment: it is no place for a secret"),
    ]
    areas: Annotated[
        list[Annotated[str, choice(AREAS)]],
        Field(max_length=MOST_AREAS, description="Only events of these areas; empty: of all"),
    ] = []  # noqa: RUF012 - pydantic copies it
    types: Annotated[
        list[Annotated[str, choice(TYPES)]],
        Field(max_length=MOST_TYPES, description="Only these types, in every version of theirs; empty: all"),
    ] = []  # noqa: RUF012
    accounts: Annotated[
        list[Id],
        Field(max_length=MOST_ACCOUNTS, description="Only events on the streams of these accounts; empty: on all"),
    ] = []  # noqa: RUF012
    contact: Annotated[Id, Field(description="The person who gets a mail when it is disabled")]
    failures: Annotated[
        int, Field(ge=LEAST_FAILURES, le=MOST_FAILURES, description="It is disabled after so many failures in a row")
    ] = 20
    hours: Annotated[
        int, Field(ge=LEAST_HOURS, le=MOST_HOURS, description="... that lasted for so many hours at least")
    ] = 72


_EXAMPLE: Final = {
    "url": "https://receiver.example/daybook",
    "areas": ["accounts"],
    "types": [],
    "accounts": [ACCOUNT_A],
    "contact": "prsn_01h455vb4pex5vsknk084sn02q",
    "failures": 20,
    "hours": 72,
}


class CreationBody(WebhookBody):
    """Create a webhook."""

    model_config = example(**_EXAMPLE)

    after: Annotated[
        int | None, Field(ge=0, le=MOST_POSITION, description="Events after this position; null: from now on")
    ] = None


class ChangeBody(WebhookBody):
    """Replace what a webhook is."""

    model_config = example(**_EXAMPLE)


class RotationBody(Body):
    """Have a new secret made."""

    model_config = example(overlap_seconds=86_400)

    overlap_seconds: Annotated[
        int, Field(ge=0, le=int(MOST_OVERLAP.total_seconds()), description="How long the secret before signs too")
    ]


class ReplayBody(Body):
    """Send events again."""

    model_config = example(after=1200)

    after: Annotated[int, Field(ge=0, le=MOST_POSITION, description="Events after this position are sent")]


class WebhookAnswer(Accepted):
    """A webhook that was changed."""

    webhook: str
    status: Annotated[str, one_of(Status)]


class SecretMade(WebhookAnswer):
    """A webhook with a new secret. No other answer shows it."""

    set_by: Annotated[int, Field(description="The version of the event that made it")]
    secret: NotRequired[Annotated[str, Field(description="What its receiver checks signatures with")]]


class Webhook(TypedDict):
    """A webhook as it is now. How far it is comes from beside the log, as of this moment."""

    webhook: str
    url: str
    areas: list[str]
    types: list[str]
    accounts: list[str]
    contact: str
    failures: int
    hours: int
    status: Annotated[str, one_of(Status)]
    cause: Annotated[str | None, Field(description="Code of what it failed of when it was disabled")]
    reply: Annotated[int | None, Field(description="Status of the receiver's answer then")]
    overlap_until: Annotated[datetime | None, Field(description="Until when the secret before signs too")]
    created_at: datetime
    last_at: Annotated[datetime, Field(description="When it was changed last")]
    version: StreamVersion
    position: LogPosition


class Progress(TypedDict):
    """How far a webhook is."""

    webhook: str
    taken_to: Annotated[int | None, Field(description="Every wanted event up to here was taken; null: none was sent")]
    ahead: Annotated[int, Field(description="Events after that which were taken, because their streams are ahead")]
    failures: Annotated[int, Field(description="Failures in a row")]
    failing_since: datetime | None
    next_at: Annotated[datetime | None, Field(description="When it is tried again; null: at once")]


class Delivery(TypedDict):
    """An attempt to deliver an event. Nothing of the receiver's answer is kept but its status."""

    message: Annotated[str, Field(description="The webhook-id that was sent")]
    event: Annotated[int, Field(description="The position of the event")]
    attempt: int
    at: datetime
    milliseconds: int
    status: Annotated[int | None, Field(description="Status of the receiver's answer; null: there was none")]
    cause: Annotated[str | None, one_of(Cause), Field(description="Code of what it failed of; null: it was taken")]
    error: Annotated[str | None, Field(description="The same in a sentence")]


def webhook_view(row: WebhookRow) -> Webhook:
    return {
        "webhook": row.webhook,
        "url": row.url,
        "areas": row.areas,
        "types": row.types,
        "accounts": row.accounts,
        "contact": row.contact,
        "failures": row.failures,
        "hours": row.hours,
        "status": row.status,
        "cause": row.cause,
        "reply": row.reply,
        "overlap_until": row.overlap_until,
        "created_at": row.created_at,
        "last_at": row.last_at,
        "version": row.version,
        "position": row.position,
    }


def progress_view(webhook: str, row: Position | None) -> Progress:
    return {
        "webhook": webhook,
        "taken_to": None if row is None else row.position,
        "ahead": 0 if row is None else len(row.ahead),
        "failures": 0 if row is None else row.failures,
        "failing_since": None if row is None else row.failing_since,
        "next_at": None if row is None else row.next_at,
    }


@command(router, "", makes=CreateWebhook, answer=SecretMade, secret=True)
def create_webhook(caller: Caller, body: CreationBody) -> Intent:
    """Have events sent to an address, in the order of each stream, at least once, and signed."""
    made = CreateWebhook(caller.services.new_id(WEBHOOK), **_described(body), after=body.after)

    async def then(answer: Answer) -> Mapping[str, Any]:
        return await _secret(caller, answer)

    return Intent(made, created="webhook", then=then)


@command(router, "/{webhook}/rotate-secret", makes=RotateWebhookSecret, answer=SecretMade, secret=True)
def rotate_webhook_secret(caller: Caller, webhook: PathId, body: RotationBody) -> Intent:
    """Have a new secret made. The one before signs too until the overlap has ended."""
    until = caller.context.decided_at + timedelta(seconds=body.overlap_seconds)

    async def then(answer: Answer) -> Mapping[str, Any]:
        return await _secret(caller, answer)

    return Intent(RotateWebhookSecret(webhook, until), webhook, then=then)


@command(router, "/{webhook}/change", makes=ChangeWebhook, answer=WebhookAnswer, status=200)
def change_webhook(caller: Caller, webhook: PathId, body: ChangeBody) -> Intent:
    """Replace address, filter, contact and policy. Events that were not taken yet are sent by the new ones."""
    return Intent(ChangeWebhook(webhook, **_described(body)), webhook)


@command(router, "/{webhook}/pause", makes=PauseWebhook, answer=WebhookAnswer, status=200)
def pause_webhook(caller: Caller, webhook: PathId, body: Nothing) -> Intent:
    """Send nothing until it is resumed."""
    return Intent(PauseWebhook(webhook), webhook)


@command(router, "/{webhook}/resume", makes=ResumeWebhook, answer=WebhookAnswer, status=200)
def resume_webhook(caller: Caller, webhook: PathId, body: Nothing) -> Intent:
    """Go on where it was, after a pause or after it was disabled."""
    return Intent(ResumeWebhook(webhook), webhook)


@command(router, "/{webhook}/replay", makes=ReplayWebhook, answer=WebhookAnswer, status=200)
def replay_webhook(caller: Caller, webhook: PathId, body: ReplayBody) -> Intent:
    """Send the events after a position, with the same ids if they were sent before. A later one leaves events out."""
    return Intent(ReplayWebhook(webhook, body.after), webhook)


@command(router, "/{webhook}/remove", makes=RemoveWebhook, answer=WebhookAnswer, status=200)
def remove_webhook(caller: Caller, webhook: PathId, body: Nothing) -> Intent:
    """Remove a webhook for good."""
    return Intent(RemoveWebhook(webhook), webhook)


@query(router, "", may=SUPERVISORS, response=page_of(Webhook), personal=False, projections=("webhooks",))
def list_webhooks(
    request: Request,
    status: StatusFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List webhooks in the order in which they were created."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.webhooks(connection, status=status, after=after, cursor=key, limit=limit)
    return page(listed, webhook_view)


@query(router, "/{webhook}", may=SUPERVISORS, response=Webhook, personal=False, projections=("webhooks",))
def get_webhook(request: Request, webhook: PathId) -> Response:
    """Get one webhook by its id."""
    with reading(request) as connection:
        return one("webhook", webhook, queries.webhook(connection, webhook), webhook_view)


@query(router, "/{webhook}/progress", may=SUPERVISORS, response=Progress, personal=False, projections=("webhooks",))
def get_webhook_progress(request: Request, webhook: PathId) -> Response:
    """Say how far a webhook is, and whether it fails."""
    refuse_on_replicas(request)
    with reading(request) as connection:
        _refuse_unknown(connection, webhook)
        row = read_position(connection, services(request).log_number, webhook)
    return one("webhook", webhook, progress_view(webhook, row), lambda view: view)


@query(
    router,
    "/{webhook}/deliveries",
    may=SUPERVISORS,
    response=page_of(Delivery),
    personal=False,
    projections=("webhooks",),
)
def list_deliveries(
    request: Request, webhook: PathId, failed: Failed = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the attempts to deliver to a webhook, newest first, for as long as they are kept."""
    refuse_on_replicas(request)
    before = read_cursor(cursor, int)
    with reading(request) as connection:
        _refuse_unknown(connection, webhook)
        number = services(request).log_number
        found = deliveries(connection, number, webhook, limit + 1, failed=failed, before=before)
    more = found[limit - 1].id if len(found) > limit else None
    return page(Listed(tuple(found[:limit]), more), lambda row: _delivery_view(webhook, row))


def _delivery_view(webhook: str, row: DeliveryRow) -> Delivery:
    return {
        "message": f"{webhook}:{row.position}",
        "event": row.position,
        "attempt": row.attempt,
        "at": row.at,
        "milliseconds": row.milliseconds,
        "status": row.status,
        "cause": row.cause,
        "error": next((sentence for cause, sentence in ERRORS.items() if cause == row.cause), None),
    }


def _described(body: WebhookBody) -> dict[str, Any]:
    return {
        "url": body.url,
        "areas": tuple(body.areas),
        "types": tuple(body.types),
        "accounts": tuple(body.accounts),
        "contact": body.contact,
        "failures": body.failures,
        "hours": body.hours,
    }


async def _secret(caller: Caller, answer: Answer) -> Mapping[str, Any]:
    """The secret that this answer's event made. A retry shows the same: whoever sends it may have one made anyway."""
    served = caller.services
    assert isinstance(served, Services), "a route with a secret is no item of a batch"
    assert served.people is not None, "such a route was refused without services of people"
    webhook, version = answer.result["webhook"], answer.result["set_by"]
    key = await run_in_threadpool(signing_key, served.people.hashes, webhook, version)
    return {"secret": secret_of(key).reveal()}


def _refuse_unknown(connection: Connection[Any], webhook: str) -> None:
    """Raise `Problem` if there is no such webhook."""
    if queries.webhook(connection, webhook) is None:
        raise Problem("unknown", f"There is no webhook {webhook}.", kind="webhook", id=webhook)
