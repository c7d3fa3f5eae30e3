"""The routes of mails: what was sent, what failed and why, and another try for one that was given up."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Reason
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of, values_of
from domain.people.mail import RetryMail, Status, Template
from domain.permissions import ADMINISTRATORS, OPERATORS
from projections.people import mails as queries
from projections.people.mails import MailRow

router = APIRouter(prefix="/v1/mails", tags=["people"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None


class Mail(TypedDict):
    """A mail as it is now. Address and text are kept nowhere."""

    mail: str
    person: Annotated[str, Field(description="Who gets it")]
    template: Annotated[str, one_of(Template)]
    status: Annotated[str, one_of(Status)]
    cause: Annotated[str | None, Field(description="Code of what the last attempt failed of")]
    reply: Annotated[int | None, Field(description="Code of the mail server's answer to it")]
    attempts: Annotated[int, Field(description="Attempts since it was queued or retried")]
    next_at: Annotated[datetime | None, Field(description="When it is tried next; null if it is not")]
    queued_at: datetime
    last_at: Annotated[datetime, Field(description="When its status changed last")]
    version: StreamVersion
    position: LogPosition


class MailChanged(Accepted):
    """A mail that is tried again."""

    mail: str


def mail_view(row: MailRow) -> Mail:
    return {
        "mail": row.mail,
        "person": row.person,
        "template": row.template,
        "status": row.status,
        "cause": row.cause,
        "reply": row.reply,
        "attempts": row.attempts,
        "next_at": row.next_at,
        "queued_at": row.queued_at,
        "last_at": row.last_at,
        "version": row.version,
        "position": row.position,
    }


@command(router, "/{mail}/retry", makes=RetryMail, answer=MailChanged, status=200)
def retry_mail(caller: Caller, mail: PathId, body: Reason) -> Intent:
    """Try a mail again that was given up."""
    return Intent(RetryMail(mail, body.reason), mail)


@query(router, "", may=OPERATORS | ADMINISTRATORS, response=page_of(Mail), personal=False, projections=("mails",))
def list_mails(
    request: Request,
    status: StatusFilter = None,
    person: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List mails in the order in which they were queued. `status=given_up` has those that nobody got."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.mails(connection, status=status, person=person, after=after, cursor=key, limit=limit)
    return page(listed, mail_view)


@query(router, "/{mail}", may=OPERATORS | ADMINISTRATORS, response=Mail, personal=False, projections=("mails",))
def get_mail(request: Request, mail: PathId) -> Response:
    """Get one mail by its id."""
    with reading(request) as connection:
        return one("mail", mail, queries.mail(connection, mail), mail_view)
