"""Commands on read tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.rebuild import rebuild as rebuild_tables
from projections.registry import PROJECTIONS, named
from workers.cli.common import (
    FOUND,
    AsJson,
    out,
    print_json,
    progress_bars,
    settings_of_process,
)
from workers.composition import make_codec
from workers.databases import LONG_STATEMENT_SECONDS, database
from workers.messages import action_recorded
from workers.migrating import refuse_planted
from workers.tuning import tune_for_folding

app = typer.Typer()


@app.command()
def rebuild(
    names: Annotated[list[str] | None, typer.Argument(help="Projections; without names all of them")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold the whole log into new read tables, and put them in the place of the old ones.

    Reads go on meanwhile: they see the old tables or the new ones. An attempt that fails leaves the old ones.
    """
    projections = named(names) if names else PROJECTIONS
    with (
        database(settings_of_process()) as settings,
        action_recorded("rebuild", settings),
        connect(
            settings.projector_url(),
            application_name="daybook-rebuild",
            statement_seconds=LONG_STATEMENT_SECONDS,
        ) as connection,
        connect(settings.read_owner_url(), application_name="daybook-rebuild-tables") as owner,
    ):
        refuse_planted(owner)
        log_number = read_head(connection, settings.log).log_number
        with connect(settings.projector_url(), application_name="daybook-rebuild-ahead") as ahead:
            codec = make_codec(settings, ahead, log_number)
            tune_for_folding()
            with progress_bars(as_json) as progress:
                task = progress.add_task("rebuilding", total=None)
                report = rebuild_tables(
                    connection,
                    settings.log,
                    codec,
                    projections,
                    owner=owner,
                    ahead=ahead,
                    progress=lambda p, head: progress.update(task, completed=p, total=head),
                )
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        rate = report.head / report.seconds if report.seconds else 0
        out.print(
            f"{', '.join(report.projections)}: {report.position} of {report.head} events in {report.seconds:.1f} s "
            f"({rate:,.0f} a second).",
            highlight=False,
        )
        for name, why in report.kept.items():
            out.print(f"[red]{name} keeps its old tables[/red]: {escape(why)}", highlight=False)
        for name, why in report.stopped.items():
            out.print(f"[red]{name} stopped[/red]: {why}", highlight=False)
    if not report.ok:
        raise typer.Exit(FOUND)
