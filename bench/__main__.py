"""`python -m bench`: run the scenarios, write the result and the page."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.harness import machine
from bench.harness.result import FORMAT, Report
from bench.harness.server import running_server
from bench.harness.settings import Settings
from bench.reporters import json_file, page, terminal
from bench.scenarios import SCENARIOS
from workers.runtime import calm_collector

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"
FIXTURE = ROOT / "tests" / "fixtures" / "czech-bank"


def main() -> None:
    """Parse, run, report."""
    arguments = _parser().parse_args()
    if arguments.render:
        PAGE.write_text(page.render(json_file.load(RESULT)))
        return
    settings = _settings(arguments)
    console = Console()
    names = arguments.only or list(SCENARIOS)
    if "import" in names and not settings.czech_bank.is_dir():
        raise SystemExit(f"{settings.czech_bank} does not exist: name another folder with --czech-bank")
    calm_collector()  # as the API does at its start
    with running_server(arguments.folder) as server:
        console.print("what a flush costs here …")
        described = machine.describe(server, settings)
        results = []
        for name in names:
            console.print(f"{name} …")
            result = SCENARIOS[name](settings, server)
            terminal.show(result, console)
            results.append(result)
    report = Report(
        FORMAT,
        datetime.now(UTC).isoformat(timespec="seconds"),
        machine.revision(),
        " ".join(["python -m bench", *("DIR" if "/" in argument else argument for argument in sys.argv[1:])]),
        settings.seed,
        settings.repetitions,
        settings.quick,
        replace(described, load_after=round(os.getloadavg()[0], 2)),
        results,
    )
    json_file.write(report, arguments.json)
    if arguments.json == RESULT:
        PAGE.write_text(page.render(report))
    console.print(f"written: {arguments.json}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look, not a result: short and once")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--json", type=Path, help="result file; default bench/results/latest.json, with its page")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the database lies; default the temporary folder")
    parser.add_argument("--czech-bank", type=Path, default=FIXTURE, help="folder of the bank's files")
    parser.add_argument("--render", action="store_true", help="only write the page again from the result file")
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    quick: bool = arguments.quick
    if arguments.json is None:
        partial = quick or arguments.only
        arguments.json = ROOT / "bench" / "results" / "partial.json" if partial else RESULT
    return Settings(
        seed=arguments.seed,
        repetitions=1 if quick else arguments.repetitions,
        seconds=1.0 if quick else 2.0,
        warm_up=0.2 if quick else 0.5,
        transfers=5_000 if quick else 20_000,
        accounts=1_000,
        czech_bank=arguments.czech_bank,
        quick=quick,
    )


if __name__ == "__main__":
    main()
