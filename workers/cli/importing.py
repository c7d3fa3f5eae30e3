"""Commands that turn other books into ledger history."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eventstore.postgres.connect import connect
from workers.cli.common import (
    FOUND,
    AsJson,
    counting,
    out,
    print_json,
    progress_bars,
    settings_of_process,
)
from workers.clock_and_ids import now
from workers.composition import write_side
from workers.databases import database
from workers.importers.czech_bank.importing import import_folder
from workers.importers.czech_bank.reconciling import SAMPLE, reconcile
from workers.importers.czech_bank.source import CURRENCY
from workers.internal_accounts import open_internal_accounts
from workers.messages import action_recorded
from workers.migrating import migrate as run_migration
from workers.tuning import tune_for_commands

imports = typer.Typer(help="Turn other books into ledger history.", no_args_is_help=True)


@imports.command("czech-bank")
def import_czech_bank(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folder with account.asc, disp.asc, trans.asc (or parts of it, trans-*.asc), and maybe order.asc",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Import the PKDD'99 data of a Czech bank, and reconcile. Start it again at any time: nothing doubles."""
    with database(settings_of_process()) as settings, action_recorded("import czech-bank", settings):
        run_migration(settings)
        with (
            connect(settings.api_url(), application_name="daybook-import") as connection,
            write_side(settings, "daybook-importer") as side,
            progress_bars(as_json) as progress,
        ):
            tune_for_commands()
            open_internal_accounts(settings, side, (CURRENCY,))
            imported = import_folder(side, connection, folder, now(), counting(progress))
            report = reconcile(connection, side.log, side.log_number, folder)
    if as_json:
        print_json({"imported": asdict(imported), "reconciliation": report.as_json()})
    else:
        out.print(
            f"{imported.accounts} accounts, {imported.transactions} transactions, {imported.orders} standing orders; "
            f"{imported.already} rows were there already.",
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
