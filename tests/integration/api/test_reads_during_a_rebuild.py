"""While a projection is rebuilt its tables are empty or half full: reads say so instead of answering from them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from api.gateway.problems import Problem
from api.queries.reading import reading
from bench.harness.tables import empty_read_tables, read_owner
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.lag import lag
from projections.engine.tables import reset
from projections.registry import PROJECTIONS, named
from tests.support.postgres import Database
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until

READS = {
    "accounts": ["accounts", "accounts/{account}"],
    "entries": ["accounts/{account}/entries"],
    "movements": ["accounts/{account}/movements"],
    "transactions": ["transactions", "transactions/{transaction}"],
    "trial_balance": ["trial-balance"],
    "orders": ["orders"],
    "posts": ["posts", "posts/{post}", "posts/{post}/revisions"],
}


@pytest.fixture
def service(database18: Database) -> Iterator[Service]:
    with service_on(database18) as made:
        yield made


@contextmanager
def being_rebuilt(service: Service, projection: str) -> Iterator[int]:
    """The state in the middle: the tables are empty, and the projector has not moved the checkpoint. The head."""
    database = service.database
    with (
        connect(database.url, application_name="holder") as holder,
        connect(database.url, application_name="watch") as watch,
        read_owner(database) as owner,
        ThreadPoolExecutor(1) as pool,
    ):
        head = read_head(watch, "main")

        def waits() -> bool:
            found = watch.execute(
                "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (holder.info.backend_pid,)
            ).fetchone()
            return found == ("Lock",)

        holder.execute("BEGIN")
        with owner.transaction():
            reset(owner, head, named([projection]))
            # It queues for the row before the projector can know that there is something to do.
            locked = "SELECT FROM read.checkpoints WHERE projection = %s FOR UPDATE"
            held = pool.submit(holder.execute, locked, (projection,))
            wait_until(waits, "a lock on the checkpoint")
        held.result()
        try:
            yield head.position
        finally:
            holder.execute("COMMIT")


def reads(service: Service) -> dict[str, list[str]]:
    account = service.account("5.00")
    post = service.post("posts", {"author": "a-1", "title": "On ledgers", "body": "Facts."}).json()["post"]
    moved = service.get(f"accounts/{account}/entries").json()["items"][0]
    names = {"account": account, "post": post, "transaction": moved["transaction"]}
    return {projection: [path.format(**names) for path in paths] for projection, paths in READS.items()}


def test_reads_of_what_is_rebuilt_are_503_and_others_go_on(service: Service) -> None:
    paths = reads(service)
    assert set(paths) == {projection.name for projection in PROJECTIONS}
    for path in (path for of_it in paths.values() for path in of_it):
        assert service.get(path).status_code == 200, path
    for projection, of_it in paths.items():
        with being_rebuilt(service, projection) as head:
            for path in of_it:
                refused = service.get(path, fresh=False)
                assert (refused.status_code, refused.json()["code"]) == (503, "rebuilding"), path
                assert refused.json()["figures"] == {"projection": projection, "reached": 0, "until": head}
                assert refused.headers["Retry-After"] == "1"
            health = service.get("health/ready")
            assert health.status_code == 200, "commands are executed"
            assert health.json()["rebuilding"] == [{"projection": projection, "position": 0, "until": head}]
            if projection == "posts":
                assert service.get("accounts", fresh=False).status_code == 200
        for path in of_it:
            wait_until(lambda path=path: service.get(path).status_code == 200, f"{path} again")  # type: ignore[misc]
    assert service.get("health/ready").json()["rebuilding"] == []


def test_a_rebuild_that_begins_and_ends_while_the_tables_are_read_is_noticed(service: Service) -> None:
    service.account("5.00")
    app = SimpleNamespace(state=SimpleNamespace(services=service.services))
    request = Request({"type": "http", "app": app, "state": {"projections": ("accounts", "orders")}})

    def whole() -> bool:
        with connect(service.database.url, application_name="lag") as connection:
            now = lag(connection, "main", PROJECTIONS)
        return not now.rebuilding and now.events == 0

    def rebuild_while_reading() -> None:
        with reading(request):
            empty_read_tables(service.database, "main", named(["accounts"]))
            wait_until(whole, "the end of the rebuild")

    with pytest.raises(Problem, match="accounts, orders were rebuilt while they were read"):
        rebuild_while_reading()
    with reading(request) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM read.accounts").fetchone() == (True,)
