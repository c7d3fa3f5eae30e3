"""The page about proving to others: its commands are executed as written, and a stranger verifies what they wrote."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.integration.proof.test_bundles import verified
from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment
from tests.support.bundle_reader import read
from tests.support.command_pages import run_page
from tests.support.pages import HOW_TO, OF_MAKE_RUN
from tests.support.postgres import Database, Server
from tests.support.sealing import HEADS_PACE, sealing_on
from tests.support.service import TOKENS, service_on
from tests.support.waiting import stay_within_the_day

PAGE = HOW_TO / "prove-to-others.md"
FILES = {
    "receipt": "event",
    "refusal": "command",
    "command": "command",
    "stream": "stream",
    "since": "stream",
    "statement": "statement",
    "on-the-machine": "statement",
    "log": "log",
}
"""What the page writes, and the kind of each bundle."""


@contextmanager
def sealed_meanwhile(database: Database) -> Iterator[None]:
    """A sealer at work."""
    stop = Event()
    with sealing_on(database, now=datetime.now(UTC)) as sealing:
        sealer = sealing.sealer()

        def seal() -> None:
            while not stop.wait(0.05):
                sealing.now += HEADS_PACE
                sealer.turn()

        thread = Thread(target=seal)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def test_the_commands_of_the_page_do_what_it_says(
    postgres18: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay_within_the_day()  # the page asks for a statement of today
    folder = tmp_path / "here"
    (folder / "var").mkdir(parents=True)
    (folder / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    monkeypatch.chdir(folder)  # commands are run where the test is
    with postgres18.database() as database, service_on(database) as service, sealed_meanwhile(database):
        text = PAGE.read_text(encoding="utf-8")
        assert OF_MAKE_RUN in text
        page = tmp_path / "page.md"
        page.write_text(text.replace(OF_MAKE_RUN, str(service.http.base_url)), encoding="utf-8")
        env = environment(database)

        def command(arguments: list[str]) -> subprocess.CompletedProcess[str]:
            return daybook(*arguments, env=env)

        done = run_page(page, folder, command, PATIENCE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    written = {file.stem: file for file in folder.glob("*.jsonl")}
    assert written.keys() == FILES.keys()
    for name, kind in FILES.items():
        content = written[name].read_bytes()
        report = verified(content, tmp_path)
        assert report["ok"], (name, report)
        assert read(content).header["kind"] == kind
    for name in ("statement", "on-the-machine"):
        statement = read(written[name].read_bytes()).statement
        assert statement is not None
        assert [line["amount"] for line in statement["items"]] == ["50.00", "-12.00"]
    assert len(read(written["since"].read_bytes()).notes) in (1, 2)
    [keys] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"origin"')]
    assert [key["key"] for key in keys["items"]] == [one["verifier"] for one in read(written["log"].read_bytes()).keys]
