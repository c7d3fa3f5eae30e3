"""The route of evidence for a statement: a bundle with the statement and every event of its account (ADR 73).

A proof needs the bytes of a leaf whole, so nothing in them can be left out. A customer gets them as an owner, and only
if the account has no event that customers do not read in another way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Final

from fastapi import APIRouter, Request
from psycopg import Connection
from starlette.responses import Response

from api.accounts.statement_files import json_file
from api.accounts.statement_files.content import Content, every_line
from api.accounts.statements import OfPeriod, Order, account_of, folded
from api.gateway.principals import EVERY_READER
from api.gateway.problems import Problem
from api.queries.bundles import BUNDLE, Since, made, sent
from api.queries.positions import token
from api.queries.query import query
from api.queries.reading import PathId, reader_of, reading
from api.services import services
from domain.accounts.account import AGGREGATE
from domain.accounts.account.events import AccountAssessed, AccountAttached, AccountDetached
from eventstore.log.read import read_head
from eventstore.proof.leaves import has_other_types
from projections.accounts.account_persons import account_persons
from projections.accounts.statements.statement import statement
from projections.engine.listing import Reader

router = APIRouter(prefix="/v1/proof/bundle", tags=["proof"])

WITHHELD: Final = (AccountAssessed, AccountAttached, AccountDetached)
"""Events of an account that only staff reads: the points that the risk rules gave, and nodes of the chart."""
SHOWN: Final = tuple(entry.name for entry in AGGREGATE.events if entry.event not in WITHHELD)


@query(
    router,
    "/statement/{account}",
    may=EVERY_READER,
    response=None,
    answers=BUNDLE,
    response_class=Response,
    personal=True,
    projections=("entries", "movements", "transactions", "accounts", "account_persons"),
)
def get_statement_bundle(
    request: Request, account: PathId, period: OfPeriod, by: Order = "booking", since: Since = None
) -> Response:
    """Get the evidence of a statement, and that none of its lines is missing, as JSON Lines.

    The statement is as of the last checkpoint that commits to the heads of streams. A customer gets it for an account
    that they own.
    """
    served, reader = services(request), reader_of(request)
    with reading(request) as connection, folded():
        account_of(connection, account, reader)

        def stated(position: int) -> Iterator[bytes]:
            if not reader.everything:
                _may_have(connection, served.log_number, account, reader, position)
            head = statement(connection, account, **period, by=by, as_of=position, reader=reader)  # type: ignore[arg-type]
            assert head is not None, "it was found"
            at = token(served.log, read_head(connection, served.log).epoch, position)
            return json_file.write(Content(head, at, None, every_line(lambda: nullcontext(connection), head, reader)))

        content = made(connection, served.log_number, since, lambda evidence: evidence.of_statement(account, stated))
    return sent(content)


def _may_have(connection: Connection[Any], log_number: int, account: str, reader: Reader, position: int) -> None:
    """Raise `Problem` unless this customer may have the leaves of an account."""
    if not account_persons(connection, reader=reader, account=account, person=reader.person, standing="owner").items:
        raise Problem("forbidden", f"The evidence of account {account} is for its owners.")
    if has_other_types(connection, log_number, account, position, SHOWN):
        raise Problem(
            "forbidden",
            f"Account {account} has events that only staff reads, and the evidence has all of them: ask the staff for "
            "it.",
        )
