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
from workers.databases import LONG_STATEMENT_SECONDS, database
from workers.importers.czech_bank.importing import import_folder
from workers.importers.czech_bank.reconciling import SAMPLE, reconcile
from workers.importers.czech_bank.source import CURRENCY
from workers.importers.executing import Imported
from workers.importers.journal.importing import SourceFormat, planned, post, read, rehearse
from workers.importers.journal.mapping import name_of, read_mapping
from workers.importers.journal.planning import Plan
from workers.importers.journal.reconciling import Reconciliation as JournalReconciliation
from workers.importers.journal.reconciling import check_starts
from workers.importers.journal.reconciling import reconcile as reconcile_journal
from workers.internal_accounts import open_internal_accounts
from workers.messages import action_recorded
from workers.migrating import migrate as run_migration
from workers.tuning import tune_for_commands

imports = typer.Typer(help="Turn other books into ledger history.", no_args_is_help=True)


@imports.command("journal")
def import_journal(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The journal, or the CSV file")],
    format: Annotated[SourceFormat, typer.Option(help="What the file is")] = "hledger",
    mapping: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A TOML file that says what accounts and columns mean"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The name of the import, which is in its keys; without it that of the file")
    ] = None,
    real: Annotated[bool, typer.Option("--real", help="Leave virtual postings out")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check the file: nothing is opened or posted")] = False,
    as_json: AsJson = False,
) -> None:
    """Import books of hledger or ledger, or a CSV file, and reconcile. Start it again at any time: nothing doubles.

    Nothing is posted before the whole file was read and checked against the rules of the ledger.
    """
    mapped = read_mapping(mapping)
    import_name = name_of(mapped, name, file)
    source = read(file, format, mapped, real=real)
    with database(settings_of_process()) as settings, action_recorded("import journal", settings):
        run_migration(settings)
        with (
            connect(
                settings.api_url(), application_name="daybook-import", statement_seconds=LONG_STATEMENT_SECONDS
            ) as connection,
            write_side(settings, "daybook-importer") as side,
            progress_bars(as_json) as progress,
        ):
            tune_for_commands()
            count, at = counting(progress), now()
            plan = planned(connection, side, import_name, mapped, source)
            accepted = rehearse(connection, side, plan, at, count)
            check_starts(connection, side.log_number, plan, accepted)
            if check:
                _print_plan(plan, as_json)
                return
            imported = post(connection, side, plan, at, count)
            report = reconcile_journal(connection, side.log_number, plan)
    if as_json:
        print_json({"name": import_name, "imported": asdict(imported), "reconciliation": report.as_json()})
    else:
        _print_journal(imported, report)
    if not (imported.ok and report.ok):
        raise typer.Exit(FOUND)


def _print_plan(plan: Plan, as_json: bool) -> None:
    accounts = [
        {"account": one.name, "currency": one.currency, "type": one.type, "id": one.id, "node": one.node}
        for one in plan.accounts.values()
    ]
    if as_json:
        print_json({"name": plan.name, "accounts": accounts, "transactions": len(plan.transactions)})
        return
    table = Table("account", "currency", "type", "id", "node")
    for row in accounts:
        table.add_row(*(value or "" for value in row.values()))
    out.print(table)
    out.print(f"{len(plan.transactions)} transactions can be imported as {plan.name}.", highlight=False)


def _print_journal(imported: Imported, report: JournalReconciliation) -> None:
    out.print(
        f"{imported.accounts} accounts, {imported.transactions} transactions; {imported.already} were there already.",
        highlight=False,
    )
    if imported.without_amount:
        out.print(
            f"Left out, since they move nothing: {len(imported.without_amount)}, first {imported.without_amount[0]}",
            highlight=False,
        )
    for rule, keys in imported.refused.items():
        out.print(f"[red]Refused[/red] {rule}: {len(keys)}, first {keys[0]}", highlight=False)
    out.print(
        f"Balances of {report.accounts} accounts on {report.account_days} account-days: {report.exact} equal, "
        f"{report.otherwise} not.",
        highlight=False,
    )
    for d in report.differences:
        out.print(f"  {d.account} on {d.day}: ours {d.ours}, the books' {d.books} {d.currency}", highlight=False)
    for left in report.leftovers[:SAMPLE]:
        out.print(
            f"  {left.account} after {left.after}: {left.days} days of ours, {left.amount} {left.currency}; nothing "
            "in the file",
            highlight=False,
        )


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
