"""The page about reconciliation: its commands are executed as written, beside a real worker."""

from __future__ import annotations

from pathlib import Path

from tests.integration.workers.running import environment, read_until, started
from tests.support.pages import shown
from tests.support.postgres import Server
from tests.support.service import service_on
from tests.support.waiting import stay_within_the_day
from workers.clock_and_ids import now


def test_the_commands_of_the_page_do_what_it_says(postgres18: Server, tmp_path: Path) -> None:
    stay_within_the_day()
    with (
        postgres18.database() as database,
        service_on(database, now=now()) as service,
        started("work", "--processes", env=environment(database)) as worker,
    ):
        read_until(worker, "carrying on the processes of log main")
        answers, _ = shown("reconcile.md", service, tmp_path)
        finished, left, entries, summary, undone, withdrawn, again, closed, reopened = answers[3:]
        lines = service.get(f"reconciliations/{finished['reconciliation']}/lines", role="audit").json()["items"]
    assert (finished["matched_lines"]["count"], finished["unmatched_lines"]["count"]) == (2, 2)
    assert [line["amount"] for line in left["items"]] == ["10.00", "-1.50"]
    assert [entry["amount"] for entry in entries["items"]] == ["9.90"]
    assert (summary["difference"], summary["explained"]["unmatched_entries"]) == ("-1.40", "-9.90")
    assert {one["outcome"] for one in (undone, withdrawn, closed, reopened)} == {"accepted"}
    assert (undone["status"], again["matched_lines"]["count"]) == ("undone", 3)
    assert (closed["status"], closed["lines_left"], reopened["status"]) == ("closed", 1, "open")
    assert [(line["line"], line["rule"]) for line in lines] == [
        (1, "reference"),
        (2, "reference_sum"),
        (3, None),
        (4, "amount_date"),
    ]
