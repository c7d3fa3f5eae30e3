"""`python -m bench` runs scenarios and writes the result and the page. `python -m bench compare` compares revisions."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console

from bench.compare.command import main as compare
from bench.harness import clock, machine
from bench.harness.result import FORMAT, Clock, Machine, Report, ScenarioResult
from bench.harness.server import running_server
from bench.harness.settings import Settings
from bench.reporters import json_file, page, terminal
from bench.scenarios import SCENARIOS, SHORT
from workers.tuning import tune_for_commands

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "bench" / "results" / "latest.json"
PARTIAL = RESULT.with_name("partial.json")
PAGE = ROOT / "docs" / "performance.md"
FIXTURE = ROOT / "tests" / "fixtures" / "czech-bank"


def main() -> None:
    """Parse the arguments, run the scenarios and write the report."""
    if sys.argv[1:2] == ["compare"]:
        sys.exit(compare(sys.argv[2:]))
    arguments = _parser().parse_args()
    if arguments.render:
        page.write(json_file.load(RESULT), PAGE)
        return
    settings = _settings(arguments)
    console = Console()
    names = arguments.only or list(SCENARIOS if arguments.full else SHORT)
    if "import" in names and not settings.czech_bank.is_dir():
        raise SystemExit(f"{settings.czech_bank} does not exist: name another folder with --czech-bank")
    with running_server(arguments.folder) as server:
        console.print("what a flush costs here …")
        described = machine.describe(server, settings)
        results: list[ScenarioResult] = []
        for name in names:
            console.print(f"{name} …")
            tune_for_commands()  # as the API does at its start; a scenario that folds tunes for folding
            with clock.watched() as loops:
                result = SCENARIOS[name](settings, server)
            result = replace(result, clock=Clock(*(round(ms, 2) for ms in (min(loops), median(loops), max(loops)))))
            terminal.show(result, console)
            results.append(result)
            # Keep these results in case a later scenario fails its check.
            json_file.write(_report(settings, described, results), PARTIAL)
    report = _report(settings, described, results)
    if arguments.again:
        report = json_file.load(RESULT).with_again(report)
    json_file.write(report, arguments.json)
    if arguments.json == RESULT:
        page.write(report, PAGE)
    console.print(f"written: {arguments.json}")


def _report(settings: Settings, described: Machine, results: Sequence[ScenarioResult]) -> Report:
    return Report(
        FORMAT,
        datetime.now(UTC).isoformat(timespec="seconds"),
        machine.revision(),
        " ".join(["python -m bench", *("DIR" if "/" in argument else argument for argument in sys.argv[1:])]),
        settings.seed,
        settings.repetitions,
        settings.quick,
        replace(described, load_after=round(os.getloadavg()[0], 2)),
        list(results),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="run every scenario; write the result file and its page")
    parser.add_argument("--quick", action="store_true", help="run once and shortly, for a first look; not a result")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--again", action="store_true", help="replace these scenarios in the result file")
    parser.add_argument("--json", type=Path, help="result file; default bench/results/partial.json, not committed")
    parser.add_argument("--repetitions", type=int, help="repetitions of each figure; default 2, with --full 5")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="folder of the database; default the temporary folder")
    parser.add_argument("--czech-bank", type=Path, default=FIXTURE, help="folder of the bank's files")
    parser.add_argument("--render", action="store_true", help="only write the page again from the result file")
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    quick: bool = arguments.quick
    if arguments.json is None:
        whole = arguments.again or (arguments.full and not quick and not arguments.only)
        arguments.json = RESULT if whole else PARTIAL
    return Settings(
        seed=arguments.seed,
        repetitions=1 if quick else arguments.repetitions or (5 if arguments.full else 2),
        seconds=1.0 if quick else 2.0,
        warm_up=0.2 if quick else 0.5,
        transfers=5_000 if quick else 20_000,
        accounts=1_000,
        czech_bank=arguments.czech_bank,
        quick=quick,
    )


if __name__ == "__main__":
    main()
