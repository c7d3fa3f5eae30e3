"""The page about transfer orders: its commands are executed as written, with a worker of processes."""

from __future__ import annotations

from pathlib import Path

from tests.integration.workers.running import environment, read_until, started
from tests.support.pages import shown
from tests.support.service import Service


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    with started("work", "--processes", env=environment(service18.database)) as worker:
        read_until(worker, "carrying on the processes of log main")
        answers, _ = shown("transfer-orders.md", service18, tmp_path)
    order, transactions, cancelled = answers
    assert (order["status"], order["held"], order["fee"], order["paid"]) == ("executed", "101.50", "1.50", "100.00")
    by_kind = {one["kind"]: one for one in transactions["items"]}
    transfer, fee = by_kind["capture"], by_kind["fee"]
    assert (transfer["transaction"], fee["transaction"]) == (order["transaction"], order["fee_transaction"])
    assert (transfer["parent"], transfer["relation"]) == (order["transfer_order"], "transfer_order")
    assert (fee["parent"], fee["relation"]) == (order["transaction"], "fee")
    assert {transfer["reference"], fee["reference"]} == {"rent-7"}
    assert cancelled["status"] == "cancelled"
