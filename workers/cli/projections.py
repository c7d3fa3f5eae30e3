"""Commands on read tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from eventstore.log.copying import Copy, find_copy
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.lag import Lag
from projections.engine.lag import lag as read_lag
from projections.engine.partitions import PartitionCheckpoint, all_partitions
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
def lag(as_json: AsJson = False) -> None:
    """How far projections are behind the log, the topics that it is published to, and a copy behind its topic.

    In a database without a log: how far its projection is folded from each partition of the topic of events. The exit
    code is 1 if a projection has stopped, or nothing is published or copied.
    """
    with (
        database(settings_of_process()) as settings,
        connect(settings.query_url(), application_name="daybook-lag", read_only=True) as connection,
    ):
        partitions = all_partitions(connection)
        if partitions:
            _print_partitions(partitions, as_json)
            return
        found = read_lag(connection, settings.log, PROJECTIONS)
        copy = find_copy(connection, settings.log)
    if as_json:
        copies = [] if copy is None else [{**asdict(copy), "behind": copy.behind}]
        print_json({**asdict(found), "events": found.events, "seconds": found.seconds, "copies": copies})
    else:
        _print_lag(found, copy)
    waiting = [topic.waiting for topic in found.publications] + ([] if copy is None else [copy.waiting])
    if found.stopped or any(waiting):
        raise typer.Exit(FOUND)


def _print_partitions(found: Sequence[tuple[str, PartitionCheckpoint]], as_json: bool) -> None:
    if as_json:
        print_json({"partitions": [{"projection": name, **asdict(one)} for name, one in found]})
    else:
        table = Table("what", "partition", "position", "events", "why", title="Folded from the topic of events")
        for name, one in found:
            table.add_row(name, str(one.partition), f"{one.position:,}", f"{one.events:,}", one.stopped or "")
        out.print(table)
    if any(one.stopped for _, one in found):
        raise typer.Exit(FOUND)


def _print_lag(found: Lag, copy: Copy | None) -> None:
    table = Table("what", "position", "behind", "seconds", "why", title=f"Head {found.head:,}, epoch {found.epoch}")
    for one in found.projections:
        table.add_row(one.projection, f"{one.position:,}", f"{one.events:,}", f"{one.seconds:.1f}", one.stopped or "")
    for topic in found.publications:
        seconds = f"{topic.seconds:.1f}"
        table.add_row(topic.topic, f"{topic.position:,}", f"{topic.events:,}", seconds, topic.waiting or "")
    if copy is not None:
        name = f"copy of {copy.topic}"
        table.add_row(name, f"{copy.position:,}", f"{copy.behind:,} records", "", copy.waiting or "")
    out.print(table)


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
