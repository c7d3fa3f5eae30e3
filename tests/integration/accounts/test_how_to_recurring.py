"""The page about recurring payments: its commands are executed as written, with a worker of processes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.integration.workers.running import environment, read_until, started
from tests.support.pages import shown
from tests.support.service import Service
from tests.support.waiting import stay_within_the_day


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    stay_within_the_day()
    today = datetime.now(UTC).date()
    with started("work", "--processes", env=environment(service18.database)) as worker:
        read_until(worker, "carrying on the processes of log main")
        answers, others = shown("recurring-payments.md", service18, tmp_path)
    _, runs, made, payment, calendar, paused, changed, resumed, listed, policy = answers
    begun, rent, _ = (answer for answer in others if "due_on" in answer and "payment" in answer)
    assert begun["due_on"] == str(today)
    [run], [transaction] = runs["items"], made["items"]
    assert (run["number"], run["outcome"], run["due_on"]) == (1, "done", begun["due_on"])
    assert transaction["transaction"] == run["transaction"]
    assert transaction["relation"] == "recurring"
    assert (transaction["description"], transaction["metadata"]) == ("Piano lessons", {"k_symbol": "SIPO"})
    assert (payment["number"], payment["strikes"], payment["transaction"]) == (2, 0, run["transaction"])
    assert str(rent["due_on"])[5:7] == "04", "the end of April, or the business day before it"
    assert calendar["holidays"] == 2
    assert (paused["status"], paused["due_on"]) == ("paused", None)
    assert (changed["status"], resumed["status"]) == ("paused", "active")
    assert resumed["due_on"] == rent["due_on"]
    [cancelled] = listed["items"]
    assert (cancelled["payment"], cancelled["amount"], cancelled["due_on"]) == (rent["payment"], "870.00", None)
    assert policy["holidays"] == [f"{today.year + 1}-12-25", f"{today.year + 1}-12-26"]
