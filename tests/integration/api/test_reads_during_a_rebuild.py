"""Reads go on while a projection is rebuilt: they are answered from the old tables, then from the new ones."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from types import SimpleNamespace

import psycopg
import pytest
from starlette.requests import Request

from api.accounts.accounts import get_account
from api.queries.reading import reading
from bench.harness.tables import read_owner
from eventstore.postgres.connect import connect
from projections.engine.rebuild import Rebuilt, rebuild
from projections.registry import PROJECTIONS
from tests.support.ledger import codec_of
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


def rebuilt(service: Service) -> Rebuilt:
    """Rebuild everything, as the command does."""
    database = service.database
    with (
        connect(database.projector_url, application_name="rebuild") as connection,
        connect(database.projector_url, application_name="keys") as keys,
        read_owner(database) as owner,
    ):
        return rebuild(connection, "main", codec_of(keys, 1), PROJECTIONS, owner=owner)


def reads(service: Service) -> dict[str, list[str]]:
    account = service.account("5.00")
    post = service.post("posts", {"author": "a-1", "title": "On ledgers", "body": "Facts."}).json()["post"]
    moved = service.get(f"accounts/{account}/entries").json()["items"][0]
    names = {"account": account, "post": post, "transaction": moved["transaction"]}
    return {projection: [path.format(**names) for path in paths] for projection, paths in READS.items()}


def test_reads_go_on_through_a_rebuild_and_see_everything(service: Service) -> None:
    paths = [path for of_it in reads(service).values() for path in of_it]
    before = {path: service.get(path).json() for path in paths}
    stop, answers = Event(), list[tuple[str, int, object]]()

    def read() -> None:
        while not stop.is_set():
            for path in paths:
                answer = service.get(path, fresh=False)
                answers.append((path, answer.status_code, answer.json()))

    reader = Thread(target=read)
    reader.start()
    try:
        for _ in range(2):
            looked = len(answers)
            assert rebuilt(service).ok
            wait_until(lambda looked=looked: len(answers) > looked + len(paths), "reads meanwhile")  # type: ignore[misc]
    finally:
        stop.set()
        reader.join()
    wrong = [(path, status) for path, status, body in answers if status != 200 or body != before[path]]
    assert wrong == []
    assert service.get("health/ready").json()["rebuilding"] == []


def test_tables_of_another_version_are_read_until_they_lack_what_a_read_needs(service: Service) -> None:
    of_posts = [path for path in reads(service)["posts"] if "revisions" not in path]
    service.get("posts")
    with read_owner(service.database) as owner:
        owner.execute("UPDATE read.projections SET shape = 'older' WHERE projection = 'posts'")
        assert service.get("posts", fresh=False).status_code == 200
        owner.execute("ALTER TABLE read.posts RENAME COLUMN status TO state")
    for path in of_posts:
        refused = service.get(path, fresh=False)
        assert (refused.status_code, refused.json()["code"]) == (503, "rebuilding"), path
        assert refused.json()["figures"] == {"projections": ["posts"]}
        assert "daybook rebuild posts" in refused.json()["detail"]
    assert service.get("accounts", fresh=False).status_code == 200
    assert rebuilt(service).ok
    for path in of_posts:
        assert service.get(path).status_code == 200, path


def test_a_statement_that_fails_on_tables_of_this_version_is_an_error_of_ours(service: Service) -> None:
    """Only tables of another version excuse it."""
    app = SimpleNamespace(state=SimpleNamespace(services=service.services))
    request = Request({"type": "http", "app": app, "endpoint": get_account})
    with pytest.raises(psycopg.errors.UndefinedColumn), reading(request) as connection:
        connection.execute("SELECT nothing FROM read.accounts")
