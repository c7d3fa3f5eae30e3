"""The routes of processes: what they wait for, and what an operator can do about one that needs attention."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Reason
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of, values_of
from domain.processes.process import ResolveProcess, RetryProcess
from domain.registry import MANAGERS
from projections.processes import processes as queries
from projections.processes.fold import Status
from projections.processes.processes import ProcessRow

router = APIRouter(prefix="/v1/processes", tags=["processes"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None
ManagerFilter = Annotated[str, choice([manager.name for manager in MANAGERS])] | None


class Process(TypedDict):
    """A process as it is now."""

    process: str
    manager: Annotated[str, Field(description="The process manager that it belongs to")]
    stream: Annotated[str, Field(description="What it is about")]
    status: Annotated[str, one_of(Status)]
    step: Annotated[str | None, Field(description="Where it is; null once an operator resolved it")]
    since: Annotated[datetime, Field(description="Since when status and step are as they are")]
    due_at: Annotated[datetime | None, Field(description="When it goes on by itself")]
    last_answer: Annotated[str | None, Field(description="`accepted`, or the rule that refused its last command")]
    cause: Annotated[str | None, Field(description="Why it needs attention: a rule or another code")]
    attempts: Annotated[int, Field(description="Commands that were refused since the last that was accepted")]
    state: Annotated[dict[str, Any] | None, Field(description="The state of its manager")]
    began_at: datetime
    version: StreamVersion
    position: LogPosition


class ProcessChanged(Accepted):
    """A process that an operator retried or resolved."""

    process: str


def process_view(row: ProcessRow) -> Process:
    return {
        "process": row.process,
        "manager": row.manager,
        "stream": row.stream,
        "status": row.status,
        "step": row.step,
        "since": row.since,
        "due_at": row.due_at,
        "last_answer": row.last_answer,
        "cause": row.cause,
        "attempts": row.attempts,
        "state": row.state,
        "began_at": row.began_at,
        "version": row.version,
        "position": row.position,
    }


@command(router, "/{process}/retry", makes=RetryProcess, answer=ProcessChanged, status=200)
def retry_process(caller: Caller, process: PathId, body: Reason) -> Intent:
    """Ask a process that needs attention to try again."""
    return Intent(RetryProcess(process, body.reason), process)


@command(router, "/{process}/resolve", makes=ResolveProcess, answer=ProcessChanged, status=200)
def resolve_process(caller: Caller, process: PathId, body: Reason) -> Intent:
    """End a process. What it intended and was not carried out is dropped."""
    return Intent(ResolveProcess(process, body.reason), process)


@query(router, "", may=READERS, response=page_of(Process), personal=False, projections=("processes",))
def list_processes(
    request: Request,
    manager: ManagerFilter = None,
    status: StatusFilter = None,
    stream: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List processes in the order in which they began. `status=attention` has those that an operator has to look at."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.processes(
            connection, manager=manager, status=status, stream=stream, after=after, cursor=key, limit=limit
        )
    return page(listed, process_view)


@query(router, "/{process}", may=READERS, response=Process, personal=False, projections=("processes",))
def get_process(request: Request, process: PathId) -> Response:
    """Get one process by its id."""
    with reading(request) as connection:
        return one("process", process, queries.process(connection, process), process_view)
