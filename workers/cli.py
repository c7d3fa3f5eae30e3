"""The `daybook` command: what an operator, an importer and an auditor run.

Exit codes: 0 done and well · 1 done, and something was found (verify, reconciliation, replay, a stopped projection) ·
2 the command line is wrong · 3 it could not be done: the message says why.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import psycopg
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.gateway.tokens_file import TokensError
from domain.json_form import json_form
from domain.money import show
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.keys.master_keys import SealingError
from eventstore.keys.rotation import rotate
from eventstore.log.codec import CodecError
from eventstore.log.connect import connect, sentence_of
from eventstore.log.event_view import event_view
from eventstore.log.read import UnknownLogError, read_head, read_stream
from migrations import MigrationError
from projections.engine.rebuild import rebuild as rebuild_tables
from projections.registry import PROJECTIONS, UnknownProjectionError, named
from workers import replay as replaying
from workers import runtime
from workers.embedded import EmbeddedPostgresError
from workers.importers.czech_bank.importing import ImportFailedError, import_folder
from workers.importers.czech_bank.reconciling import SAMPLE, reconcile
from workers.importers.czech_bank.source import CURRENCY, SourceError
from workers.migrating import migrate as run_migration
from workers.serve import serve as run_server
from workers.settings import Settings, SettingsError, ignored_variables, load
from workers.showing import described, in_major_units, plain
from workers.terminal import print_anything
from workers.up import UpError
from workers.up import up as run_up
from workers.verify import verify as verify_log
from workers.verify.printing import print_report
from workers.verify.schema import damaged
from workers.work import work as run_worker

logger = logging.getLogger(__name__)

FOUND, FAILED = 1, 3

app = typer.Typer(help="Daybook, an event-sourced ledger.", no_args_is_help=True, add_completion=False)
imports = typer.Typer(help="Turn other books into ledger history.", no_args_is_help=True)
app.add_typer(imports, name="import")

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]

_SAID = (
    SettingsError, EmbeddedPostgresError, MigrationError, UpError, UnknownLogError, UnknownProjectionError, SourceError,
    ImportFailedError, ExecutorError, CodecError, SealingError, TokensError, RuntimeError,
)  # fmt: skip


@app.command()
def up() -> None:
    """Start everything on this machine: database, API and projector. Ctrl-C stops it all."""
    loaded = _settings()
    with runtime.action_recorded("up", loaded):
        run_up(loaded, out)


@app.command()
def serve() -> None:
    """Start the API."""
    loaded = _settings()
    with connect(loaded.query_url(), application_name="daybook-serve", read_only=True) as connection:
        read_head(connection, loaded.log)  # a role that is not there, or no log, is one sentence
    with connect(loaded.api_url(), application_name="daybook-serve") as connection:
        runtime.make_codec(loaded, connection, read_head(connection, loaded.log).log, writes=True)  # or it is refused
    run_server(loaded)


@app.command()
def work() -> None:
    """Start a projector: it folds the log into the read tables until it is stopped."""
    run_worker(_settings())


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema: roles, rights, the log and the read tables.

    Run it again at any time: it repairs owners and rights, for instance after a restore, and says so.
    """
    with runtime.database(_settings()) as settings, runtime.action_recorded("migrate", settings):
        migrated = run_migration(settings)
    out.print(f"The database is at revision {migrated.revision}.", highlight=False)
    for note in migrated.notes:
        out.print(note, highlight=False, markup=False)


@imports.command("czech-bank")
def import_czech_bank(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folder with account.asc, disp.asc and trans.asc (or parts of it, trans-*.asc)",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Import the PKDD'99 data of a Czech bank, and reconcile. Start it again at any time: nothing doubles."""
    with runtime.database(_settings()) as settings, runtime.action_recorded("import czech-bank", settings):
        run_migration(settings)
        with (
            connect(settings.api_url(), application_name="daybook-import") as connection,
            runtime.write_side(settings, "daybook-importer") as side,
            _progress(as_json) as progress,
        ):
            runtime.tune_for_commands()
            runtime.open_internal_accounts(settings, side, (CURRENCY,))
            imported = import_folder(side, connection, folder, runtime.now(), _counting(progress))
            report = reconcile(connection, side.log, side.log_number, folder)
    if as_json:
        _print_json({"imported": asdict(imported), "reconciliation": report.as_json()})
    else:
        out.print(
            f"{imported.accounts} accounts, {imported.transactions} transactions; {imported.already} rows were there "
            f"already.",
            highlight=False,
        )
        if imported.without_amount:
            out.print(
                f"Left out, since their amount is 0.00: {len(imported.without_amount)} rows, first "
                f"{imported.without_amount[0]}",
                highlight=False,
            )
        for rule, keys in imported.refused.items():
            out.print(f"[red]Refused[/red] {rule}: {len(keys)}, first {keys[0]}", highlight=False)
        table = Table("account-days", "balance equal", "off by the rounding", "off otherwise", "below zero")
        counts = (report.account_days, report.exact, report.rounding, report.otherwise, report.below_zero)
        table.add_row(*map(str, counts))
        out.print(table)
        out.print(
            f"The day's own movement is the bank's, exactly, on {report.movements_exact} account-days; the largest "
            f"difference of a balance is {report.largest_difference} {CURRENCY}.",
            highlight=False,
        )
        if report.accounts_off:
            out.print(f"Accounts off otherwise: {', '.join(map(str, report.accounts_off))}", highlight=False)
        for d in report.differences:
            out.print(f"  account {d.account} on {d.day}: ours {d.ours}, the bank's {d.bank}", highlight=False)
        if report.leftovers:
            out.print(f"Left over, with no row of the bank's: {len(report.leftovers)} accounts", highlight=False)
        for left in report.leftovers[:SAMPLE]:
            since = "" if left.after is None else f" after {left.after}"
            out.print(
                f"  account {left.account}{since}: {left.days} days of ours, {left.amount} {CURRENCY}", highlight=False
            )
    if not (imported.ok and report.ok):
        raise typer.Exit(FOUND)


@app.command()
def replay(
    stream: Annotated[str | None, typer.Argument(help="A stream such as acct_…; without it the whole log")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Fold the stream up to this version")] = None,
    upto: Annotated[int | None, typer.Option(min=0, help="Fold the log up to this position")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold events and nothing else: what a stream comes to at a version, or the whole log at a position."""
    with runtime.database(_settings()) as settings:
        if stream is not None:
            with (
                runtime.action_recorded("replay", settings, stream),
                _audit(settings) as (connection, codec, log),
            ):
                state = replaying.replay_stream(connection, log, codec, stream, version)
                if state is None:
                    _fail(f"there is no stream {stream}")
                _print_json(in_major_units(plain(state)))
            return
        with _audit(settings) as (connection, codec, _), _progress(as_json) as progress:
            task = progress.add_task("replaying", total=None)
            report = replaying.replay_log(
                connection, settings.log, codec, upto, lambda p, end: progress.update(task, completed=p, total=end)
            )
    sums = {currency: show(total, currency) for currency, total in report.sums.items()}
    _print_json({"ok": report.ok, **asdict(report), "sums": sums})
    if not report.ok:
        raise typer.Exit(FOUND)


@app.command()
def rebuild(
    names: Annotated[list[str] | None, typer.Argument(help="Projections; without names all of them")] = None,
    as_json: AsJson = False,
) -> None:
    """Empty read tables and fold the whole log into them again."""
    projections = named(names) if names else PROJECTIONS
    with (
        runtime.database(_settings()) as settings,
        runtime.action_recorded("rebuild", settings),
        connect(
            settings.projector_url(),
            application_name="daybook-rebuild",
            statement_seconds=runtime.LONG_STATEMENT_SECONDS,
        ) as connection,
        connect(settings.read_owner_url(), application_name="daybook-rebuild-tables") as owner,
    ):
        log = read_head(connection, settings.log).log
        with connect(settings.projector_url(), application_name="daybook-rebuild-ahead") as ahead:
            codec = runtime.make_codec(settings, ahead, log)
            runtime.tune_for_folding()
            with _progress(as_json) as progress:
                task = progress.add_task("rebuilding", total=None)
                report = rebuild_tables(
                    connection,
                    settings.log,
                    codec,
                    projections,
                    owner=owner,
                    anew=damaged(connection, projections),
                    ahead=ahead,
                    progress=lambda p, head: progress.update(task, completed=p, total=head),
                )
    if as_json:
        _print_json({"ok": report.ok, **asdict(report)})
    else:
        rate = report.head / report.seconds if report.seconds else 0
        out.print(
            f"{', '.join(report.projections)}: {report.position} of {report.head} events in {report.seconds:.1f} s "
            f"({rate:,.0f} a second).",
            highlight=False,
        )
        for name, why in report.stopped.items():
            out.print(f"[red]{name} stopped[/red]: {why}", highlight=False)
    if not report.ok:
        raise typer.Exit(FOUND)


@app.command()
def restored() -> None:
    """Tell a database that it was restored from a dump, before anything else uses it: its log begins a new epoch.

    Tokens and checkpoints of before may be of a history that is gone. Tokens are refused; projectors stop until
    `daybook rebuild`.
    """
    with _owner("restored") as (settings, connection):
        row = connection.execute(
            "UPDATE log.logs SET epoch = epoch + 1 WHERE name = %s RETURNING epoch, position", (settings.log,)
        ).fetchone()
        if row is None:
            raise UnknownLogError(settings.log)
    out.print(f"Log {settings.log} is in epoch {row[0]}, at position {row[1]}. Now: daybook rebuild", highlight=False)


@app.command()
def forget_origins(
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep those of so many days; default DAYBOOK_ORIGIN_DAYS")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget the addresses and user agents of commands whose time of keeping has passed. Run it daily, as the owner."""
    with _owner("forget-origins") as (settings, connection):
        before = runtime.now() - timedelta(days=days or settings.origin_days)
        row = connection.execute("SELECT log.forget_origins(%s)", (before,)).fetchone()
    assert row is not None
    if as_json:
        _print_json({"forgotten": row[0], "before": before})
    else:
        out.print(f"{row[0]} origins of before {before:%Y-%m-%d %H:%M} UTC are forgotten.", highlight=False)


@app.command()
def drop_snapshots(as_json: AsJson = False) -> None:
    """Empty the cache of folded states. It changes nothing but the time of the next loads. Run it as the owner."""
    with _owner("drop-snapshots") as (_, connection):
        dropped = connection.execute("DELETE FROM log.snapshots").rowcount
    if as_json:
        _print_json({"dropped": dropped})
    else:
        out.print(f"{dropped} snapshots are dropped.", highlight=False)


@app.command()
def rotate_master_key(as_json: AsJson = False) -> None:
    """Wrap the keys of all people with DAYBOOK_MASTER_KEY instead of DAYBOOK_PREVIOUS_MASTER_KEY.

    Run it as the owner, once every process has both. They go on meanwhile; after a kill, start it again. At its end the
    previous key is retired: no process needs it, and none that has only that one is let in.
    """
    with _owner("rotate-master-key") as (settings, connection), _progress(as_json) as progress:
        task = progress.add_task("moving keys", total=None)
        report = rotate(
            connection,
            settings.master_key_bytes(),
            settings.previous_master_key_bytes(),
            lambda moved: progress.update(task, completed=moved),
        )
    if as_json:
        _print_json({"ok": report.ok, **asdict(report)})
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


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Prove that the log is sound, the schema as it was made, and the read tables what the log folds to."""
    with (
        runtime.database(_settings()) as settings,
        _audit(settings) as (connection, codec, _),
        _progress(as_json) as progress,
    ):
        task = progress.add_task("verifying", total=None)
        report = verify_log(connection, settings.log, codec, lambda name: progress.update(task, description=name))
    if as_json:
        _print_json(report.as_json())
    else:
        print_report(report, out)
    if not report.ok:
        raise typer.Exit(FOUND)


@app.command()
def events(
    stream: Annotated[str, typer.Argument(help="A stream such as acct_…, txn_…, ord_…, post_… or claim:slug:…")],
    as_json: AsJson = False,
) -> None:
    """A stream as a person reads it."""
    with (
        runtime.database(_settings()) as settings,
        runtime.action_recorded("events", settings, stream),
        _audit(settings) as (connection, codec, log),
    ):
        found = read_stream(connection, log, stream)
        if not found:
            _fail(f"there is no stream {stream}")
        width = out.width if out.is_terminal else None
        if as_json:
            sys.stdout.write("[")
        separator = "\n"
        while found:
            for recorded in found:
                event = codec.decode(recorded.type, recorded.payload, recorded.stream, recorded.version)
                view = event_view(recorded, event)
                if as_json:
                    sys.stdout.write(separator + _json(view, json_form))
                    separator = ",\n"
                else:
                    sys.stdout.writelines(f"{line}\n" for line in described(recorded, plain(view["data"]), width))
            found = read_stream(connection, log, stream, after=found[-1].version)
        if as_json:
            sys.stdout.write("\n]\n")


def _settings() -> Settings:
    """The settings; from here on messages are written as they say."""
    loaded = load()
    runtime.write_messages(loaded)
    if ignored := ignored_variables():
        logger.warning(
            "ignored, since Kubernetes or Docker made them for a service and nobody set them: %s "
            "(enableServiceLinks: false keeps them away)",
            ", ".join(ignored),
        )
    return loaded


@contextmanager
def _owner(command: str) -> Iterator[tuple[Settings, psycopg.Connection[Any]]]:
    """The settings, and a connection that may change what nobody else may."""
    with (
        runtime.database(_settings()) as settings,
        runtime.action_recorded(command, settings),
        connect(settings.owner_url(), application_name=f"daybook-{command}") as connection,
    ):
        yield settings, connection


@contextmanager
def _audit(settings: Settings) -> Iterator[tuple[psycopg.Connection[Any], Any, int]]:
    """(connection that may only read, codec, number of the log)."""
    url = settings.audit_url()
    with (
        connect(url, application_name="daybook-audit", statement_seconds=runtime.LONG_STATEMENT_SECONDS) as connection,
        connect(url, application_name="daybook-audit-keys") as keys,
    ):
        log = read_head(connection, settings.log).log
        yield connection, runtime.make_codec(settings, keys, log), log


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        yield progress


def _counting(progress: Progress) -> Callable[[str, int], None]:
    tasks: dict[str, Any] = {}

    def count(step: str, done: int) -> None:
        if step not in tasks:
            tasks[step] = progress.add_task(step, total=None)
        progress.update(tasks[step], completed=done)

    return count


def _json(value: Any, default: Callable[[Any], Any] = str) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=default).decode()


def _print_json(value: Any) -> None:
    sys.stdout.write(_json(value) + "\n")


def _fail(sentence: str) -> NoReturn:
    _say(sentence)
    raise typer.Exit(FAILED)


def main() -> None:
    """Run a command; what goes wrong reaches people as one sentence."""
    print_anything()
    try:
        app()
    except psycopg.Error as error:
        _say(sentence_of(error))
    except _SAID as error:
        _say(str(error))
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        _say(
            f"an argument or a setting has characters that the locale does not know ({text}): use a UTF-8 locale such "
            f"as LANG=C.UTF-8, or set PYTHONUTF8=1"
        )
    except OSError as error:
        _say(f"{error.filename or ''} {error.strerror or error}".strip())
    sys.exit(FAILED)


def _say(sentence: str) -> None:
    err.print(f"[red]daybook:[/red] {escape(sentence)}", highlight=False)


if __name__ == "__main__":
    main()
