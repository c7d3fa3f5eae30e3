"""The page about settling merchants: its commands are executed as written, beside a real worker."""

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
        answers, _ = shown("settle-merchants.md", service, tmp_path)
    refunded, agreed, settled, bank, attention, changed, paused, resumed, agreement = answers
    assert {one["outcome"] for one in (refunded, agreed, changed, paused, resumed)} == {"accepted"}
    [settlement] = settled["items"]
    figures = ("status", "entries", "payments", "refunds", "fee_rate", "fee", "carried_gross", "net")
    assert [settlement[name] for name in figures] == ["paid", 3, "100.00", "10.00", "0.025", "2.50", "0.00", "87.50"]
    assert bank["balance"] == "87.50"
    assert attention["items"] == []
    assert (paused["status"], resumed["status"]) == ("paused", "active")
    assert (agreement["status"], agreement["fee_rate"]) == ("active", "0.02")
    assert agreement["last_day"] is not None
