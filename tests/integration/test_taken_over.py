"""A database of the previous revision is taken over: only changed tables are rebuilt, and the ledger goes on."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from domain.registry import POLICIES
from projections.engine.tables import ShapeError
from tests.integration.workers.running import daybook, environment, settings_of
from tests.support.before import FIXTURES, as_it_was
from tests.support.ledger import fold
from tests.support.postgres import Database
from tests.support.service import Service, service_on
from workers.migrating import migrate

REVISION = "d399098"
COMMANDS: list[dict[str, Any]] = json.loads((FIXTURES / f"{REVISION}.json").read_text())
"""Requests to the previous revision, and its answers."""
WITH_NEW_COLUMNS = ["accounts", "movements", "transactions", "orders", "posts", "trial_balance"]
"""Projections whose tables have a column more than in that revision."""


@pytest.fixture
def taken_over(empty_database: Database) -> Database:
    """The migrated database of the previous revision."""
    as_it_was(empty_database, REVISION)
    before = checkpoints(empty_database)
    notes = [note for note in migrate(settings_of(empty_database)).notes if not note.startswith("Owners or rights")]
    assert notes == [f"{ShapeError(WITH_NEW_COLUMNS)}."], "the tables of the other projections are taken over"
    assert checkpoints(empty_database) == before
    rebuilt = daybook("rebuild", *WITH_NEW_COLUMNS, env=environment(empty_database))
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    created = len(POLICIES) + 1  # `migrate` has appended their first events, and the erasure of cyd
    assert dict(checkpoints(empty_database)) == {
        name: position + created * (name in WITH_NEW_COLUMNS) for name, position in before
    }
    fold(empty_database)  # as a projector does, which begins the new projections
    return empty_database


def checkpoints(database: Database) -> list[tuple[str, int]]:
    """The position of each projection."""
    with psycopg.connect(database.url) as superuser:
        return superuser.execute("SELECT projection, position FROM read.checkpoints ORDER BY 1").fetchall()


def assert_verified(database: Database) -> None:
    done = daybook("verify", "--json", env=environment(database))
    assert done.returncode == 0, done.stdout + done.stderr


def answers_again(service: Service, command: dict[str, Any]) -> bool:
    response = service.post(command["path"], command["body"], key=command["key"], role=command["role"])
    return (response.status_code, without_sentences(response.json())) == (
        command["status"],
        without_sentences(command["answer"]),
    )


def without_sentences(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without its text for persons, which may differ between versions of the program."""
    return {name: value for name, value in answer.items() if name not in ("title", "detail")}


def test_it_is_verified_and_goes_on(taken_over: Database) -> None:
    assert_verified(taken_over)
    opened = {command["key"]: command["answer"] for command in COMMANDS}
    one, two = (opened[key]["account"] for key in ("open-a", "open-b"))
    with service_on(taken_over, fresh=False) as service:
        before = service.log_digest()
        assert [command["key"] for command in COMMANDS if not answers_again(service, command)] == []
        assert service.log_digest() == before, "a repeated answer changes nothing"

        read = service.get(f"accounts/{one}").json()
        moved = {"source": one, "target": two, "amount": "1.00", "currency": "EUR"}
        assert service.post("transfers", moved).status_code == 201
        after = service.get(f"accounts/{one}").json()
        assert (float(read["balance"]) - float(after["balance"]), after["version"]) == (1.0, read["version"] + 1)

        order, post = opened["order-1"]["order"], opened["post"]["post"]
        assert service.get(f"orders/{order}").json()["status"] == "paid"
        assert service.post(f"posts/{post}/delete", {"reason": "Old"}).status_code == 200
        erased = service.get(f"accounts/{opened['open-c']['account']}").json()
        assert (erased["owner"], erased["status"], erased["name"]) == ("cyd", "closed", None)
    assert_verified(taken_over)
