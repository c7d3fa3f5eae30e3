"""The `daybook` command: what an operator, an importer and an auditor run.

Exit codes: 0 done and well · 1 done, and something was found (verify, reconciliation, replay, a stopped projection) ·
2 the command line is wrong · 3 it could not be done: the message says why.
"""

from __future__ import annotations

import sys

import psycopg
import typer

from api.gateway.tokens_file import TokensError
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.keys.master_keys import SealingError
from eventstore.log.codec import CodecError
from eventstore.log.read import UnknownLogError
from eventstore.postgres.connect import sentence_of
from migrations import MigrationError
from projections.registry import UnknownProjectionError
from workers.cli import (
    auditing,
    exporting,
    importing,
    maintenance,
    people,
    processes,
    projections,
    proving,
    reconciling,
    replaying,
    running,
    statements,
)
from workers.cli.common import FAILED, say
from workers.embedded import EmbeddedPostgresError
from workers.exporters.journal.exporting import ExportError
from workers.exporters.views import ViewsError
from workers.importers.czech_bank.source import SourceError
from workers.importers.executing import ImportFailedError
from workers.importers.journal.source import JournalError
from workers.settings import SettingsError
from workers.terminal import print_anything
from workers.up import UpError

app = typer.Typer(help="Daybook, an event-sourced ledger.", no_args_is_help=True, add_completion=False)
for group in (running, projections, processes, auditing, replaying, statements, reconciling, maintenance):
    app.registered_commands.extend(group.app.registered_commands)
app.add_typer(importing.imports, name="import")
app.add_typer(exporting.exports, name="export")
app.add_typer(people.people, name="people")
app.add_typer(proving.prove, name="prove")

_EXPLAINED = (
    SettingsError, EmbeddedPostgresError, MigrationError, UpError, UnknownLogError, UnknownProjectionError, SourceError,
    ImportFailedError, JournalError, ExportError, ViewsError, ExecutorError, CodecError, SealingError,
    TokensError, RuntimeError,
)  # fmt: skip


def main() -> None:
    """Run a command; what goes wrong reaches people as one sentence."""
    print_anything()
    try:
        app()
    except psycopg.Error as error:
        say(sentence_of(error))
    except _EXPLAINED as error:
        say(str(error))
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        say(
            f"an argument or a setting has characters that the locale does not know ({text}): use a UTF-8 locale such "
            f"as LANG=C.UTF-8, or set PYTHONUTF8=1"
        )
    except OSError as error:
        say(f"{error.filename or ''} {error.strerror or error}".strip())
    sys.exit(FAILED)
