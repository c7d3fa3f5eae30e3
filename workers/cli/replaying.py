"""The command `daybook replay`: states, steps, causes and refusals from the log and nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import orjson
import typer
from psycopg import Connection

from domain.json_form import json_form
from domain.kernel import UNREADABLE, Erased
from domain.money import MoneyError, parse, show
from domain.registry import CATALOGUE
from eventstore.keys.sealing import ClosedSealer
from eventstore.log.codec import Codec
from eventstore.log.read import Head, position_at, read_head, read_last
from projections.replay.causes import Causes
from projections.replay.refused import explained
from projections.replay.selection import Amounts, Selection, units_named, walk
from projections.replay.steps import States, plain
from workers import replay as folding
from workers.cli.common import (
    FOUND,
    AsJson,
    audit_connection,
    fail,
    out,
    print_json,
    progress_bars,
    settings_of_process,
)
from workers.databases import database
from workers.messages import action_recorded
from workers.replay_text import cause_tree, refusal_lines, step_lines
from workers.settings import Settings
from workers.showing import in_major_units

app = typer.Typer()

MOST_TREES = 100
"""Most trees of one correlation."""
_NUMBER = re.compile("[0-9]{1,18}")
_TYPES = frozenset(entry.name for entry in CATALOGUE)


class Sealed(Erased, frozen=True):
    """Stands for a personal value that is not opened, since nobody asked for it."""

    def __str__(self) -> str:
        return "[sealed]"


@app.command()
def replay(
    stream: Annotated[str | None, typer.Argument(help="A stream such as acct_…; without it the whole log")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Fold the stream up to this version")] = None,
    upto: Annotated[str | None, typer.Option(help="Up to this position or time, included")] = None,
    after: Annotated[str | None, typer.Option(help="Steps after this position or time")] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Each event with the state after it and what it changed")
    ] = False,
    account: Annotated[str | None, typer.Option(help="Steps of an account and of the transactions on it")] = None,
    correlation: Annotated[
        str | None, typer.Option(help="Steps of the commands with this correlation or idempotency key")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Whose key it is; then the log is not searched for it")] = None,
    person: Annotated[str | None, typer.Option(help="Steps by or about this person")] = None,
    type: Annotated[str | None, typer.Option(help="Steps of this type, such as account.debited.v1")] = None,
    currency: Annotated[str | None, typer.Option(help="Steps with an amount of this currency")] = None,
    amount_from: Annotated[str | None, typer.Option(help="The least amount, with --currency")] = None,
    amount_until: Annotated[str | None, typer.Option(help="The highest amount, with --currency")] = None,
    causes: Annotated[
        str | None, typer.Option(help="What the command at this position, or with this key, caused")
    ] = None,
    refusal: Annotated[
        str | None, typer.Option(help="The refusal at this position or of this key, with the states it was decided on")
    ] = None,
    personal: Annotated[bool, typer.Option("--personal", help="Open personal values in steps and refusals")] = False,
    as_json: AsJson = False,
) -> None:
    """Fold events and nothing else: a state, the whole log, or each step with what it changed.

    Without more it prints what a stream comes to, or what the whole log comes to. Steps, causes and refusals are for
    people; with --json steps are JSON lines.
    """
    filters = (account, correlation, person, type, currency, after)
    walking = steps or any(one is not None for one in filters)
    if sum((walking, causes is not None, refusal is not None)) > 1:
        raise typer.BadParameter("ask for steps, --causes or --refusal, and not for two of them")
    if sum(one is not None for one in (stream, account, correlation)) > 1:
        raise typer.BadParameter("a stream, --account and --correlation exclude each other")
    if walking and version is not None:
        raise typer.BadParameter("steps are bounded by --after and --upto, not by --version")
    if actor is not None and correlation is None and causes is None and refusal is None:
        raise typer.BadParameter("--actor is for a key: give --correlation, --causes or --refusal")
    if causes is not None or refusal is not None:
        others = (stream, version, upto)
        if any(one is not None for one in others):
            raise typer.BadParameter("--causes and --refusal take a position or a key, and nothing else")
    if not (walking or causes is not None or refusal is not None):
        _fold(stream, version, upto, as_json)
        return
    amounts = _amounts(currency, amount_from, amount_until)
    if type is not None and type not in _TYPES:
        raise typer.BadParameter(f"{type} is not the type of an event; docs/reference/events.md lists them")
    selection = Selection(stream, account, correlation, actor, person, type, amounts)
    with (
        database(settings_of_process()) as settings,
        action_recorded(f"replay{' --personal' if personal else ''}", settings, stream or account or person),
        _reading(settings, personal) as (connection, codec, head),
    ):
        if causes is not None:
            _print_causes(connection, codec, head, causes, actor, as_json)
        elif refusal is not None:
            _print_refusal(connection, codec, head, refusal, actor, as_json)
        else:
            begin = 0 if after is None else _position(connection, head, after)
            end = head.position if upto is None else _position(connection, head, upto)
            _print_steps(connection, codec, head, selection, begin, end, as_json)


def _fold(stream: str | None, version: int | None, upto: str | None, as_json: bool) -> None:
    with database(settings_of_process()) as settings:
        if stream is not None:
            with (
                action_recorded("replay", settings, stream),
                audit_connection(settings) as (connection, codec, log_number),
            ):
                end = None if upto is None else _position(connection, read_head(connection, settings.log), upto)
                state = folding.replay_stream(connection, log_number, codec, stream, version, end)
                if state is None:
                    fail(f"there is no stream {stream}{'' if upto is None else f' at {upto}'}")
                print_json(in_major_units(plain(state)))
            return
        with audit_connection(settings) as (connection, codec, _), progress_bars(as_json) as progress:
            task = progress.add_task("replaying", total=None)
            end = None if upto is None else _position(connection, read_head(connection, settings.log), upto)
            report = folding.replay_log(
                connection, settings.log, codec, end, lambda p, total: progress.update(task, completed=p, total=total)
            )
    sums = {currency: show(total, currency) for currency, total in report.sums.items()}
    print_json({"ok": report.ok, **asdict(report), "sums": sums})
    if not report.ok:
        raise typer.Exit(FOUND)


@contextmanager
def _reading(settings: Settings, personal: bool) -> Iterator[tuple[Connection[Any], Codec, Head]]:
    """A connection of an auditor, a codec that opens personal values only if that is wanted, and the head."""
    with audit_connection(settings) as (connection, codec, _):
        head = read_head(connection, settings.log)
        yield connection, codec if personal else Codec(CATALOGUE, ClosedSealer(), Sealed(), UNREADABLE), head


def _position(connection: Connection[Any], head: Head, text: str) -> int:
    """The position of a text: a number, or a time with its offset: that of the last event by then."""
    if _NUMBER.fullmatch(text):
        return min(int(text), head.position)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is neither a position nor a time such as 2026-01-31T12:00:00Z")
    return position_at(connection, head, time.astimezone(UTC))


def _amounts(currency: str | None, least: str | None, most: str | None) -> Amounts | None:
    if currency is None:
        if least is not None or most is not None:
            raise typer.BadParameter("--amount-from and --amount-until need --currency")
        return None
    try:
        parsed = [None if text is None else parse(text, currency) for text in (least or "0", most)]
    except MoneyError as error:
        raise typer.BadParameter(str(error)) from None
    return Amounts(currency, *parsed)


def _print_steps(
    connection: Connection[Any], codec: Codec, head: Head, selection: Selection, after: int, end: int, as_json: bool
) -> None:
    named = selection.stream or selection.account
    if named is not None and read_last(connection, head.log_number, named) is None:
        fail(f"there is no stream {named}")
    width = out.width if out.is_terminal else None
    states = States(connection, head.log_number, codec)
    for step in walk(connection, head.log_number, codec, selection, states, after, end):
        if as_json:
            _print_line(step.as_json())
            continue
        for text in step_lines(step, width):
            out.print(text, soft_wrap=True, highlight=False)


def _print_line(value: Any) -> None:
    """Print a line of JSON."""
    line = orjson.dumps(value, default=json_form, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.write(line.decode())


def _positions(
    connection: Connection[Any], head: Head, text: str, actor: str | None, most: int = MOST_TREES
) -> list[int]:
    """A position for each unit that a text names, which is a position, a correlation or a key."""
    if actor is None and _NUMBER.fullmatch(text):
        return [int(text)]
    return list(islice(units_named(connection, head.log_number, text, actor, head.position), most))


def _print_causes(
    connection: Connection[Any], codec: Codec, head: Head, text: str, actor: str | None, as_json: bool
) -> None:
    causes = Causes(connection, head.log_number, codec)
    roots = [causes.tree(position) for position in _positions(connection, head, text, actor)]
    if not any(roots):
        fail(f"there is no command at or with key {text}")
    for root in filter(None, roots):
        if as_json:
            _print_line(root.as_json())
        else:
            out.print(cause_tree(root), soft_wrap=True, highlight=False, crop=False)


def _print_refusal(
    connection: Connection[Any], codec: Codec, head: Head, text: str, actor: str | None, as_json: bool
) -> None:
    for position in _positions(connection, head, text, actor):
        found = explained(connection, head.log_number, codec, position)
        if found is None:
            continue
        if as_json:
            _print_line(found.as_json())
            return
        for line in refusal_lines(found, out.width if out.is_terminal else None):
            out.print(line, soft_wrap=True, highlight=False)
        return
    fail(f"there is no refusal at or with key {text}")
