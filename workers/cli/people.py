"""Commands of the owner of the database about persons: erase and export them, once two persons have decided it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import psycopg
import typer
from psycopg_pool import ConnectionPool

from api.commands.execution import checked_key, problem_body
from api.gateway.problems import Problem
from api.people.checks import holder_of
from domain import registry
from domain.people.administrators import AppointAdministrator
from domain.people.person.state import PERSON
from eventstore.executor.followed_states import FollowedStates
from eventstore.executor.stream_states import Fold
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.answers import ACCEPTED
from eventstore.postgres.connect import connect, pool_of
from projections.engine.waiting import Checkpoints
from workers.cli.common import (
    FOUND,
    AsJson,
    audit_connection,
    fail,
    out,
    owner_connection,
    print_json,
    settings_of_process,
)
from workers.clock_and_ids import now
from workers.composition import WriteSide, system_principal, system_submission, write_side
from workers.databases import LONG_STATEMENT_SECONDS, database
from workers.messages import action_recorded
from workers.privacy.erasing import Keeping, erase_person, in_words
from workers.privacy.exporting import export_person
from workers.privacy.requests import MOST_KEY
from workers.settings import Settings

people = typer.Typer(help="Decisions about persons that are carried out on the machine.", no_args_is_help=True)

Approval = Annotated[str, typer.Argument(help="The id of the request that another administrator approved")]
WAIT_SECONDS = 60.0


@people.command("first-administrator")
def first_administrator(
    person: Annotated[str, typer.Argument(help="The id of the person, their username or their e-mail address")],
    as_json: AsJson = False,
) -> None:
    """Make a person an administrator, while there is none, or only one. From two on they appoint others themselves.

    The person has registered and verified the address. The role works in a session with a second factor.
    """
    with (
        database(settings_of_process()) as settings,
        action_recorded("people-first-administrator", settings),
        write_side(settings, "daybook-people") as side,
    ):
        id = person if person.startswith(f"{PERSON}_") else _person_named(settings, side, person)
        if id is None:
            fail("nobody has this username or e-mail address")
        submission = system_submission(
            system_principal("system:first-administrator"),
            f"first-administrator-{uuid4()}",
            AppointAdministrator(id),
            f"first-administrator {id}",
            settings.log,
            now(),
        )
        [answer] = side.executor.execute([submission])
    if answer.outcome is not ACCEPTED:
        fail(str(problem_body(answer)["detail"]))
    if as_json:
        print_json(dict(answer.result))
        return
    out.print(f"{id} is an administrator.", highlight=False)
    out.print(
        "The role works in a session with a second factor: set one up, then sign in with a code.", highlight=False
    )


def _person_named(settings: Settings, side: WriteSide, name: str) -> str | None:
    """The id of whoever has this username or address now."""
    fold = Fold(side.codec, registry.evolve)
    states = FollowedStates(
        lambda: connect(settings.api_url(), application_name="daybook-people"), settings.log, fold, ()
    )
    with closing(states):
        return holder_of(states, KeyedHashes(side.codec.sealer), name)


@people.command("erase")
def erase(
    approval: Approval,
    key: Annotated[str, typer.Option(help="The idempotency key of this request")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the read tables")] = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Erase a person: key, credentials and texts of read tables go, for ever. Run it as the owner.

    The report says what was cleared, what remains, and until when. It is refused under a legal hold. After a failure,
    start it again: what was done is not done twice. A refusal is an answer for ever: take another key after it.
    """
    if len(key) > MOST_KEY or not _is_key(key):
        fail(f"the key must be 1 to {MOST_KEY} printable ASCII characters")
    with (
        owner_connection("people-erase") as (settings, owner),
        write_side(settings, "daybook-people") as side,
        audit_connection(settings) as (reading, _, _),
        _credentials(settings) as credentials,
        _checkpoints(settings) as checkpoints,
    ):
        keeping = Keeping(backup_days=settings.backup_days, origin_days=settings.origin_days)
        report = erase_person(side, owner, reading, credentials, checkpoints, approval, key, keeping, wait_seconds=wait)
    if as_json:
        print_json(report.as_json())
    else:
        for line in in_words(report):
            out.print(line, highlight=False, markup=False, soft_wrap=True)
    if not report.ok:
        raise typer.Exit(FOUND)


@people.command("export")
def export(
    approval: Approval,
    to: Annotated[Path, typer.Option(dir_okay=False, help="The file to write: a ZIP that does not exist yet")],
    as_json: AsJson = False,
) -> None:
    """Write what is known about a person into a ZIP of JSON and CSV that only its owner may read.

    An approval is used once.
    """
    with (
        owner_connection("people-export") as (settings, _),
        write_side(settings, "daybook-people") as side,
        audit_connection(settings) as (reading, codec, _),
        _credentials(settings) as credentials,
    ):
        report = export_person(side, reading, codec, credentials, approval, to)
    if as_json:
        print_json(report.as_json())
        return
    out.print(f"{to} has what is known about {report.person} as of position {report.position}:", highlight=False)
    for name, rows in report.files.items():
        out.print(f"  {name}: {rows}", highlight=False)


def _is_key(key: str) -> bool:
    try:
        checked_key(key)
    except Problem:
        return False
    return True


@contextmanager
def _credentials(settings: Settings) -> Iterator[ConnectionPool[psycopg.Connection[Any]]]:
    """A pool of the role of credentials."""
    pool = pool_of(
        settings.credentials_url(),
        application_name="daybook-people",
        most=1,
        wait_seconds=LONG_STATEMENT_SECONDS,
        statement_seconds=LONG_STATEMENT_SECONDS,
    )
    with pool:
        yield pool


@contextmanager
def _checkpoints(settings: Settings) -> Iterator[Checkpoints]:
    checkpoints = Checkpoints(
        lambda: connect(settings.query_url(), application_name="daybook-people-checkpoints"), settings.log
    )
    try:
        yield checkpoints
    finally:
        checkpoints.close()
