"""Commands that write the books for other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from psycopg import Connection
from rich.table import Table

from domain.kernel import ERASED, UNREADABLE
from domain.registry import CATALOGUE
from eventstore.keys.sealing import ClosedSealer
from eventstore.log.codec import Codec
from eventstore.postgres.connect import connect
from workers.cli.common import (
    AsJson,
    audit_connection,
    counting,
    err,
    out,
    print_json,
    progress_bars,
    settings_of_process,
)
from workers.clock_and_ids import now
from workers.databases import LONG_STATEMENT_SECONDS, database
from workers.exporters.files import new_file
from workers.exporters.journal.exporting import Wanted, export_journal
from workers.exporters.journal.formats import FormatName
from workers.exporters.tiles import export_tiles
from workers.exporters.views import FileFormat, export_views
from workers.messages import action_recorded
from workers.settings import Settings

exports = typer.Typer(help="Write the books for other tools.", no_args_is_help=True)


@exports.command("journal")
def journal(
    format: Annotated[FormatName, typer.Option(help="The tool that reads it")] = "hledger",
    output: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The file to write; without it: standard output"),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(min=0, help="Only what came after this position: a part that goes on"),
    ] = None,
    upto: Annotated[int | None, typer.Option(min=0, help="The position of the export; without it the head")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="The first value date; what was before is opening balances"),
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last value date")] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="Only transactions with this account, such as acct_…; may be repeated")
    ] = None,
    node: Annotated[str | None, typer.Option(help="Only transactions with accounts at this node or below it")] = None,
    names_by_chart: Annotated[
        bool, typer.Option("--names-by-chart", help="Name accounts by their node of the chart, not by their type")
    ] = False,
    balances: Annotated[
        bool | None,
        typer.Option(
            "--balances/--no-balances",
            help="Opening balances, and assertions at the end; without a choice, for whatever is no part",
        ),
    ] = None,
    personal: Annotated[
        bool, typer.Option("--personal", help="Also write descriptions and names of accounts, which are about people")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the transactions as a journal for hledger, ledger or beancount, as of one position of the log.

    The journal ends with the balance of each account, which the tool checks.
    """
    wanted = Wanted(
        format=format,
        after=after,
        upto=upto,
        since=_date(since),
        until=_date(until),
        accounts=tuple(dict.fromkeys(account or ())),
        node=node,
        by_chart=names_by_chart,
        balances=balances if balances is not None else after is None,
        personal=personal,
    )
    if after is not None and names_by_chart:
        raise typer.BadParameter("names by chart change when nodes move, so a part may not have them: export the whole")
    with (
        database(settings_of_process()) as settings,
        action_recorded(f"export journal{' --personal' if personal else ''}", settings),
        _reading(settings, personal) as (connection, codec),
        _text(output) as file,
        progress_bars(as_json or (output is None and not err.is_terminal)) as progress,
    ):
        task = progress.add_task("exporting", total=None)
        done = export_journal(
            connection,
            settings.log,
            codec,
            wanted,
            file,
            lambda at, total: progress.update(task, completed=at, total=total),
        )
    if output is None:
        return
    if as_json:
        print_json(done.as_json())
    else:
        out.print(
            f"{output} has {done.transactions} transactions of {done.accounts} accounts, and {done.balances} balances "
            f"to check, as of position {done.position}.",
            highlight=False,
            soft_wrap=True,
        )


@exports.command("views")
def views(
    folder: Annotated[
        Path, typer.Option("--output", file_okay=False, help="The folder to write to; it is empty, or made")
    ],
    names: Annotated[list[str] | None, typer.Argument(help="Reporting views; without names all of them")] = None,
    format: Annotated[FileFormat, typer.Option(help="The format of the files")] = "csv",
    after: Annotated[
        int | None, typer.Option(min=0, help="Only rows that changed after this position: that of an earlier export")
    ] = None,
    personal: Annotated[bool, typer.Option("--personal", help="Also write the columns with texts of people")] = False,
    as_json: AsJson = False,
) -> None:
    """Write reporting views as CSV or Parquet, all as of one moment, with a manifest that has the positions."""
    with (
        database(settings_of_process()) as settings,
        action_recorded(f"export views{' --personal' if personal else ''}", settings),
        connect(
            settings.audit_url(), application_name="daybook-export", statement_seconds=LONG_STATEMENT_SECONDS
        ) as connection,
        progress_bars(as_json) as progress,
    ):
        report = export_views(
            connection,
            settings.log,
            folder,
            format,
            now(),
            names=names or (),
            after=after,
            personal=personal,
            progress=counting(progress),
        )
    if as_json:
        print_json(report.as_json())
        return
    table = Table("view", "rows", "position")
    for view in report.views:
        table.add_row(view.view, f"{view.rows:,}", f"{view.position:,}")
    out.print(table)
    out.print(
        f"{folder} has the rows as of position {report.position}: give it as --after to have what changes later.",
        highlight=False,
        soft_wrap=True,
    )


@exports.command("tiles")
def tiles(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, help="The folder to write to; it is made if it is not there")
    ],
    as_json: AsJson = False,
) -> None:
    """Write the tiles and the newest checkpoint of the transparency log, as files that a web server can serve.

    A file with a tile is written once and never changed. Run it again to add what was sealed since.
    """
    with (
        database(settings_of_process()) as settings,
        connect(
            settings.audit_url(), application_name="daybook-export", statement_seconds=LONG_STATEMENT_SECONDS
        ) as connection,
    ):
        done = export_tiles(connection, settings.log, folder)
    if as_json:
        print_json(done.as_json())
    else:
        out.print(
            f"{folder} has the checkpoint of {done.origin} with {done.size} leaves; {done.tiles} tiles were added.",
            highlight=False,
            soft_wrap=True,
        )


def _date(given: datetime | None) -> date | None:
    return None if given is None else given.date()


@contextmanager
def _reading(settings: Settings, personal: bool) -> Iterator[tuple[Connection[Any], Codec]]:
    """A connection of an auditor, and a codec. It opens no text of people unless that is wanted."""
    if personal:
        with audit_connection(settings) as (connection, codec, _):
            yield connection, codec
        return
    url = settings.audit_url()
    with connect(url, application_name="daybook-export", statement_seconds=LONG_STATEMENT_SECONDS) as connection:
        yield connection, Codec(CATALOGUE, ClosedSealer(), ERASED, UNREADABLE)


@contextmanager
def _text(path: Path | None) -> Iterator[TextIO]:
    """The file, or standard output."""
    if path is None:
        yield sys.stdout
        return
    with new_file(path) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="\n")
        yield text
        text.detach()  # it is flushed by this, and `new_file` closes the file
