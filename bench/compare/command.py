"""The command line of the comparison, and the table it prints."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import orjson
import psycopg
from rich.console import Console
from rich.table import Table

from bench.compare.measuring import SHORT, Bench, Sizes
from bench.compare.program import CompareError, checked_out, program_in
from bench.compare.statistics import Comparison, Spread, verdict
from bench.harness.server import running_server
from workers.embedded import EmbeddedPostgresError

ROOT = Path(__file__).parents[2]
SLOWER, FAILED, INTERRUPTED = 1, 3, 130
WIDTH = 104
"""Columns of the table."""


def main(arguments: Sequence[str]) -> int:
    """Compare, print, and return the exit code: 0 within the tolerance, 1 slower, 3 for a failed measurement."""
    asked = _parser().parse_args(arguments)
    sizes = SHORT if asked.quick else Sizes()
    sizes = replace(sizes, pairs=asked.pairs or sizes.pairs)
    console = Console()
    console.width = max(console.width, WIDTH)
    try:
        comparisons = compare(asked.revision, sizes, console, asked.folder)
    except (CompareError, EmbeddedPostgresError, psycopg.Error, RuntimeError, OSError) as error:
        print(f"bench compare: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bench compare: interrupted; servers and folders are gone", file=sys.stderr)
        return INTERRUPTED
    console.print(table(comparisons))
    console.print(verdict(comparisons, asked.tolerance), highlight=False, soft_wrap=True)
    if asked.json:
        asked.json.write_bytes(orjson.dumps([one.as_json() for one in comparisons], option=orjson.OPT_INDENT_2))
    return SLOWER if any(one.is_slower(asked.tolerance) for one in comparisons) else 0


def compare(revision: str, sizes: Sizes, console: Console, parent: Path | None = None) -> list[Comparison]:
    """Measure this tree and the revision, in folders below `parent`. The folders are removed at the end."""

    def say(line: str) -> None:
        console.print(line, highlight=False)

    with (
        _ended_in_order(),
        tempfile.TemporaryDirectory(prefix="daybook-compare-", dir=parent) as folder,
        running_server(parent) as server,
    ):
        before = checked_out(ROOT, revision, Path(folder), say)
        return Bench(server, sizes, say).compare(before, program_in("this tree", ROOT))


def table(comparisons: Sequence[Comparison]) -> Table:
    """A row for each figure: medians of the rates a second and of the ratios of pairs. A ratio below 1 is slower."""
    made = Table("a second", "revision", "this tree", "ratio", "lowest to highest", "revision ÷ itself")
    for one in comparisons:
        made.add_row(
            one.figure,
            f"{one.before:,.0f}",
            f"{one.now:,.0f}",
            f"{one.ratio.median:.3f}",
            _range(one.ratio),
            f"{one.itself.median:.3f}, {_range(one.itself)}",
        )
    return made


def _range(spread: Spread) -> str:
    return f"{spread.lowest:.3f} to {spread.highest:.3f}"


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Make SIGTERM end the process like Ctrl-C, so that servers are stopped and folders removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench compare",
        description="Measure this tree beside another revision of it: transfers over HTTP one a request and in "
        "batches, and the fold. About ten minutes; nothing else should run on the machine meanwhile.",
    )
    parser.add_argument("revision", help="a commit, by any name that git knows")
    parser.add_argument("--pairs", type=_positive, help="number of pairs; default 7, with --quick 3")
    parser.add_argument(
        "--tolerance", type=float, default=0.05, help="the share by which a figure may be lower; default 0.05"
    )
    parser.add_argument(
        "--quick", action="store_true", help="measure less of everything, for a first look; not a result"
    )
    parser.add_argument("--folder", type=Path, help="folder of the databases; default the temporary folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every rate that was measured")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
