"""This program and a newer one on one log, both serving and folding: a rolling upgrade from its begin to its end.

The newer program is a copy of the repository in which the recipes of CONTRIBUTING.md were followed. It has an event, a
column and an aggregate more.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest

from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment, read_until, started
from tests.support.postgres import Database, server_folder
from tests.support.recipes import copy_repository, follow, recipe
from tests.support.waiting import wait_until
from workers.ports import free_port

ROOT: Final = Path(__file__).parents[2]
_keys = count(1)


@pytest.fixture(scope="module")
def newer_folder() -> Iterator[Path]:
    """The folder of the newer program."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    with server_folder() as folder:
        copy = folder / "daybook"
        copy_repository(ROOT, copy, Path(sys.prefix))
        for heading in ("A new command with its event", "A new aggregate with read model and routes"):
            follow(recipe(page, heading).changes, copy)
        manifest = [sys.executable, "-m", "workers.verify.manifest"]  # `verify` compares the schema with it
        subprocess.run(manifest, cwd=copy, env=environment(), check=True, capture_output=True)
        yield copy


@dataclass(frozen=True)
class Api:
    """A running API of one of the programs."""

    url: str

    def post(self, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key or f"key-{next(_keys)}"}
        return httpx.post(f"{self.url}/v1/{path}", json=body or {}, headers=headers, timeout=30)

    def get(self, path: str, **params: str) -> httpx.Response:
        return httpx.get(f"{self.url}/v1/{path}", params=params, timeout=30)

    def order(self) -> str:
        """A new order."""
        line = {"sku": "ink", "name": "Ink", "quantity": 1, "unit_price": "1.00"}
        placed = self.post("orders", {"customer": "customer-1", "currency": "EUR", "lines": [line]})
        assert placed.status_code == 201, placed.text
        order: str = placed.json()["order"]
        return order

    def stopped(self) -> dict[str, str]:
        """The projections that are stopped, with the reason."""
        found = self.get("lag").json()["projections"]
        return {one["projection"]: one["stopped"] for one in found if one["stopped"] is not None}

    def behind(self) -> set[str]:
        """The projections that have not reached the head."""
        return {one["projection"] for one in self.get("lag").json()["projections"] if one["events"] > 0}


@dataclass(frozen=True)
class Program:
    """One of the two programs, on the database of the test."""

    database: Database
    copy: Path | None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return daybook(*arguments, env=environment(self.database), copy=self.copy)

    @contextmanager
    def working(self) -> Iterator[subprocess.Popen[str]]:
        with started("work", env=environment(self.database), copy=self.copy) as process:
            yield process

    @contextmanager
    def serving(self) -> Iterator[Api]:
        port = free_port()
        env = environment(self.database, DAYBOOK_PORT=str(port), DAYBOOK_AUTH="off")
        api = Api(f"http://127.0.0.1:{port}")

        def answers() -> bool:
            try:
                return api.get("health/live").status_code == 200
            except httpx.TransportError:
                return False

        with started("serve", env=env, copy=self.copy) as process:
            wait_until(lambda: answers() or process.poll() is not None, "an API that answers", PATIENCE_SECONDS)
            assert process.poll() is None, process.stdout and process.stdout.read()
            yield api


def test_two_versions_of_the_program_work_on_one_log(database18: Database, newer_folder: Path) -> None:
    older, newer = Program(database18, None), Program(database18, newer_folder)
    with psycopg.connect(database18.url, autocommit=True) as owner, ExitStack() as both, ExitStack() as old:
        owner.execute("SELECT log.create_log('main')")
        assert older.run("migrate").returncode == 0
        old_worker, old_api = old.enter_context(older.working()), old.enter_context(older.serving())
        noted, plain = old_api.order(), old_api.order()
        wait_until(lambda: not old_api.behind(), "the head")

        migrated = newer.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        assert "the tables of orders were made by another version" in migrated.stdout.replace("\n", " ")
        new_api = both.enter_context(newer.serving())
        assert new_api.post(f"orders/{noted}/notes", {"note": "Ring twice"}).is_success
        voucher = {"customer": "customer-1", "amount": "12.30", "currency": "EUR"}
        assert new_api.post("vouchers", voucher).is_success

        # The older program refuses commands on the stream of the note, and goes on with everything else.
        refused = old_api.post(f"orders/{noted}/confirm", key="confirm")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        problem = refused.json()
        assert problem["code"] == "newer_event"
        assert problem["detail"] == (
            f"{noted} has an event order.noted.v1, which a newer version of Daybook wrote and this process does not "
            "know. Nothing was done. Upgrade this process, or send the command to a newer one, with the same key."
        )
        assert old_api.get(f"streams/{noted}").json()["code"] == "newer_event"
        assert old_api.post(f"orders/{plain}/confirm").is_success
        later = old_api.order()
        account = {"type": "checking", "currency": "EUR", "owner": "customer-1", "name": "Ada"}
        opened = old_api.post("accounts", account)
        assert opened.is_success
        assert new_api.post(f"orders/{noted}/confirm", key="confirm").is_success

        # Its projection of orders stops with a sentence, and the others go on.
        wait_until(lambda: old_api.behind() == {"orders"}, "the head, for the others")
        wait_until(lambda: old_api.stopped().keys() == {"orders"}, "the stop, which comes after the page of the others")
        stopped = f"order.noted.v1 on {noted}: this version of Daybook does not know the type"
        assert stopped in old_api.stopped()["orders"]
        assert stopped in read_until(old_worker, "projection orders stopped")
        assert old_api.get("health/ready").json()["figures"] == {"stopped": ["orders"]}
        reached = opened.headers["Daybook-Position"]
        assert old_api.get(f"accounts/{opened.json()['account']}", min_position=reached).status_code == 200
        assert owner.execute('SELECT count(*) FROM read.orders WHERE "order" = %s', (later,)).fetchone() == (0,)
        rebuilt = older.run("rebuild", "orders")
        assert rebuilt.returncode == 1
        assert stopped in rebuilt.stdout

        # The newer program rebuilds what has another shape. The older one leaves it, and the newer one takes it over.
        rebuilt = newer.run("rebuild", "orders")
        assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
        read_until(old_worker, "this projector leaves them to the newer version")
        both.enter_context(newer.working())
        last = new_api.order()
        assert old_api.post("accounts", account).is_success
        wait_until(lambda: not new_api.behind(), "the head, for all projections of the newer program")
        assert new_api.stopped() == {}
        assert old_worker.poll() is None
        old.close()

        assert new_api.post("accounts", account).is_success
        wait_until(lambda: not new_api.behind(), "the head, without the older program")
        verified = newer.run("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        found = {order: new_api.get(f"orders/{order}").json() for order in (noted, plain, later, last)}
        assert [one["status"] for one in found.values()] == ["confirmed", "confirmed", "placed", "placed"]
        assert [one["note"] for one in found.values()] == ["Ring twice", None, None, None]
