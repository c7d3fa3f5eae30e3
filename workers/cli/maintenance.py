"""Commands of the owner of the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from api.commands.execution import checked_key
from api.gateway.problems import Problem
from domain.people.person.state import PERSON
from eventstore.keys.rotation import rotate
from eventstore.log.read import read_head
from eventstore.proof.store import read_tree, rename_tree
from workers.cli.common import (
    FOUND,
    AsJson,
    fail,
    out,
    owner_connection,
    print_json,
    progress_bars,
)
from workers.clock_and_ids import now
from workers.erasure import erase_subject as erase

app = typer.Typer()

_END_SESSIONS = """
UPDATE credentials.sessions s SET ended_at = greatest(now(), s.opened_at), ended_why = 'revoked'
  FROM log.logs l WHERE l.log = s.log AND l.name = %s AND s.ended_at IS NULL
"""


@app.command()
def restored(
    origin: Annotated[
        str | None,
        typer.Option(help="If the log is sealed: its name in checkpoints from now on, which was never used before"),
    ] = None,
    same_origin: Annotated[
        bool,
        typer.Option("--same-origin", help="Nothing was sealed after the moment that was restored: the name stays"),
    ] = False,
) -> None:
    """Tell a database that it was restored from a dump, before anything else uses it: its log begins a new epoch.

    Tokens and checkpoints of before may be of a history that is gone. Tokens are refused; projectors stop until
    `daybook rebuild`. All sessions of people end, because the dump may have refresh tokens that were used since.

    Checkpoints of the transparency log that were signed after the dump show a history that is gone. So a log that is
    sealed goes on under another origin.
    """
    if origin is not None and same_origin:
        raise typer.BadParameter("the origin stays, or it is another one: leave one of the options out")
    with owner_connection("restored") as (settings, connection), connection.transaction():
        head = read_head(connection, settings.log)
        tree = read_tree(connection, head.log_number)
        if tree is None and origin is not None:
            fail(f"the log {settings.log} is not sealed: leave --origin out, and set DAYBOOK_PROOF_ORIGIN")
        if tree is not None and origin is None and not same_origin:
            fail(
                f"the log is sealed as {tree.origin}, up to position {tree.size}: checkpoints that were signed after "
                "this moment show a history that is gone. Give it another name with --origin, or say with "
                "--same-origin that none was signed"
            )
        row = connection.execute(
            "UPDATE log.logs SET epoch = epoch + 1 WHERE log = %s RETURNING epoch, position", (head.log_number,)
        ).fetchone()
        assert row is not None, "it was read"
        ended = connection.execute(_END_SESSIONS, (settings.log,)).rowcount
        if tree is not None and origin is not None:
            rename_tree(connection, head.log_number, origin)
    out.print(f"Log {settings.log} is in epoch {row[0]}, at position {row[1]}. Now: daybook rebuild", highlight=False)
    if ended:
        out.print(f"{ended} sessions of people have ended; they sign in again.", highlight=False)
    if tree is not None and origin is not None:
        out.print(
            f"Its checkpoints were of {tree.origin}; from now on they are of {origin}. Tell whoever keeps them, and "
            "change DAYBOOK_PROOF_ORIGIN if you set it.",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def forget_origins(
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep those of so many days; default DAYBOOK_ORIGIN_DAYS")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget the addresses and user agents of commands whose time of keeping has passed. Run it daily, as the owner."""
    with owner_connection("forget-origins") as (settings, connection):
        before = now() - timedelta(days=days or settings.origin_days)
        row = connection.execute("SELECT log.forget_origins(%s)", (before,)).fetchone()
    assert row is not None
    if as_json:
        print_json({"forgotten": row[0], "before": before})
    else:
        out.print(f"{row[0]} origins of before {before:%Y-%m-%d %H:%M} UTC are forgotten.", highlight=False)


@app.command()
def forget_reads(
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep those of so many days; default DAYBOOK_READS_DAYS")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget who read what about whom, where its time of keeping has passed. Run it daily, as the owner."""
    with owner_connection("forget-reads") as (settings, connection):
        before = now() - timedelta(days=days or settings.reads_days)
        row = connection.execute("SELECT access.forget_reads(%s)", (before,)).fetchone()
    assert row is not None
    if as_json:
        print_json({"forgotten": row[0], "before": before})
    else:
        out.print(f"{row[0]} reads of before {before:%Y-%m-%d %H:%M} UTC are forgotten.", highlight=False)


@app.command()
def forget_deliveries(
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep those of so many days; default DAYBOOK_DELIVERIES_DAYS")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget attempts to deliver to webhooks whose time of keeping has passed. Run it daily, as the owner."""
    with owner_connection("forget-deliveries") as (settings, connection):
        before = now() - timedelta(days=days or settings.deliveries_days)
        row = connection.execute("SELECT webhooks.forget_deliveries(%s)", (before,)).fetchone()
    assert row is not None
    if as_json:
        print_json({"forgotten": row[0], "before": before})
    else:
        out.print(f"{row[0]} attempts of before {before:%Y-%m-%d %H:%M} UTC are forgotten.", highlight=False)


@app.command()
def erase_subject(
    subject: Annotated[str, typer.Argument(help="The id of the person: an owner, a customer, an author, an operator")],
    key: Annotated[str, typer.Option(help="The idempotency key of this request")],
    as_json: AsJson = False,
) -> None:
    """Erase a person: destroy the key that opens their personal values, for ever. Run it as the owner.

    The event `subject.erased.v1` says so in the log, and the read tables lose their text. Money and ids stay. A second
    call changes nothing. A backup from before still has the key: erase the person again after a restore.
    """
    try:
        checked_key(key)
    except Problem:
        fail("the key must be 1 to 255 printable ASCII characters")
    if subject.startswith(f"{PERSON}_"):
        fail(f"{subject} is a person: two administrators decide, and then daybook people erase APPROVAL")
    with owner_connection("erase-subject") as (settings, connection):
        erasure = erase(connection, read_head(connection, settings.log).log_number, subject, key)
    if as_json:
        print_json(asdict(erasure))
    else:
        out.print(str(erasure), highlight=False, markup=False)


@app.command()
def drop_snapshots(as_json: AsJson = False) -> None:
    """Empty the cache of folded states. It changes nothing but the time of the next loads. Run it as the owner."""
    with owner_connection("drop-snapshots") as (_, connection):
        dropped = connection.execute("DELETE FROM log.snapshots").rowcount
    if as_json:
        print_json({"dropped": dropped})
    else:
        out.print(f"{dropped} snapshots are dropped.", highlight=False)


@app.command()
def rotate_master_key(as_json: AsJson = False) -> None:
    """Wrap the keys of all people with DAYBOOK_MASTER_KEY instead of DAYBOOK_PREVIOUS_MASTER_KEY.

    Run it as the owner, once every process has both. They go on meanwhile; after a kill, start it again. At its end the
    previous key is retired: no process needs it, and none that has only that one is let in.
    """
    with owner_connection("rotate-master-key") as (settings, connection), progress_bars(as_json) as progress:
        task = progress.add_task("moving keys", total=None)
        report = rotate(
            connection,
            settings.master_key_bytes(),
            settings.previous_master_key_bytes(),
            lambda moved: progress.update(task, completed=moved),
        )
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        out.print(f"{report.moved} keys are moved to DAYBOOK_MASTER_KEY, the one before is retired.", highlight=False)
        if report.left:
            out.print(
                f"[red]{report.left} keys were left[/red]: they open with no master key at hand. daybook verify names "
                "them; restore them from a backup.",
                highlight=False,
            )
    if not report.ok:
        raise typer.Exit(FOUND)
