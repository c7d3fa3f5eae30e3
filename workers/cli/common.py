"""What the commands share: the settings, connections, the printing of reports, and exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import orjson
import psycopg
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from workers.composition import make_codec
from workers.databases import LONG_STATEMENT_SECONDS, database
from workers.messages import action_recorded, write_messages
from workers.settings import Settings, ignored_variables, load

logger = logging.getLogger(__name__)

FOUND, FAILED = 1, 3
"""Exit codes: something was found; it could not be done."""

# Keys and ids have colons: `:books:` is no emoji.
out = Console(emoji=False)
err = Console(stderr=True, emoji=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def settings_of_process() -> Settings:
    """The settings; from here on messages are written as they say."""
    loaded = load()
    write_messages(loaded)
    if ignored := ignored_variables():
        logger.warning(
            "ignored, since Kubernetes or Docker made them for a service and nobody set them: %s "
            "(enableServiceLinks: false keeps them away)",
            ", ".join(ignored),
        )
    return loaded


@contextmanager
def owner_connection(command: str) -> Iterator[tuple[Settings, psycopg.Connection[Any]]]:
    """The settings, and a connection that may change what nobody else may."""
    with (
        database(settings_of_process()) as settings,
        action_recorded(command, settings),
        connect(settings.owner_url(), application_name=f"daybook-{command}") as connection,
    ):
        yield settings, connection


@contextmanager
def audit_connection(settings: Settings) -> Iterator[tuple[psycopg.Connection[Any], Any, int]]:
    """(connection that may only read, codec, number of the log)."""
    url = settings.audit_url()
    with (
        connect(url, application_name="daybook-audit", statement_seconds=LONG_STATEMENT_SECONDS) as connection,
        connect(url, application_name="daybook-audit-keys") as keys,
    ):
        log_number = read_head(connection, settings.log).log_number
        yield connection, make_codec(settings, keys, log_number), log_number


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        yield progress


def counting(progress: Progress) -> Callable[[str, int], None]:
    tasks: dict[str, Any] = {}

    def count(step: str, done: int) -> None:
        if step not in tasks:
            tasks[step] = progress.add_task(step, total=None)
        progress.update(tasks[step], completed=done)

    return count


def as_json_text(value: Any, default: Callable[[Any], Any] = str) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=default).decode()


def print_json(value: Any) -> None:
    sys.stdout.write(as_json_text(value) + "\n")


def fail(sentence: str) -> NoReturn:
    say(sentence)
    raise typer.Exit(FAILED)


def say(sentence: str) -> None:
    err.print(f"[red]daybook:[/red] {escape(sentence)}", highlight=False)
