"""The page about interest: its commands are executed as written, beside a real worker."""

from __future__ import annotations

from pathlib import Path

from tests.integration.workers.running import environment, read_until, started
from tests.support.answers import accepted
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
        paying = {"type": "interest", "currency": "EUR", "name": "interest"}
        accepted(service.post("accounts", paying, role="operator"))
        answers, _ = shown("interest.md", service, tmp_path)
    moved, agreed, credited, entries, changed, interest, attention = answers
    assert {one["outcome"] for one in (moved, agreed, changed)} == {"accepted"}
    [month] = credited["items"]
    assert (month["first_day"], month["amount"], month["carried"]) == (month["last_day"], "1.00", 0)
    assert month["balances"] == [{"day": month["first_day"], "balance": "10000.00"}]
    assert [one["amount"] for one in entries["items"]] == ["10000.00", "1.00"]
    assert entries["items"][1]["transaction"] == month["transaction"]
    assert (interest["status"], interest["rate"], interest["basis"], interest["carried"]) == ("active", "0.02", 360, 0)
    assert interest["last_day"] is not None
    assert attention["items"] == []
