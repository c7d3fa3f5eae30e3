"""`daybook work --processes` and `daybook processes`."""

from __future__ import annotations

import json

import pytest

from domain.posts.post import MOST_AHEAD, DraftPost, SchedulePost
from tests.integration.workers.running import daybook, environment, read_until, started
from tests.support.ledger import NOW, executor_on, fold, submission
from tests.support.postgres import Database
from tests.support.waiting import wait_until

POST, OTHER = "post_1", "post_2"


@pytest.fixture
def scheduled(database18: Database) -> Database:
    """A database with a post whose time has come, and another that waits. The clock of the test stands in the past."""
    with executor_on(database18) as executor:
        executor.execute(
            [
                submission(DraftPost(POST, "author-1", "Title", "Body")),
                submission(SchedulePost(POST, "soon", NOW)),
                submission(DraftPost(OTHER, "author-1", "Title", "Body")),
                submission(SchedulePost(OTHER, "later", NOW + MOST_AHEAD)),
            ]
        )
    fold(database18)
    return database18


def test_processes_are_shown_to_people_and_programs(scheduled: Database) -> None:
    env = environment(scheduled)
    shown = daybook("processes", env=env)
    assert shown.returncode == 0, shown.stderr
    assert "publication: 2 waiting" in shown.stdout
    assert "1 timers are due" in shown.stdout
    assert POST in shown.stdout
    printed = json.loads(daybook("processes", "--json", "--stream", OTHER, env=env).stdout)
    [process] = printed["processes"]
    assert (process["stream"], process["status"], process["step"]) == (OTHER, "waiting", "scheduled")
    assert printed["counts"]["timers_due"] == 1
    assert printed["counts"]["processes"] == [{"manager": "publication", "status": "waiting", "processes": 2}]
    assert json.loads(daybook("processes", "--json", "--status", "done", env=env).stdout)["processes"] == []


def test_a_worker_carries_processes_on(scheduled: Database) -> None:
    env = environment(scheduled)
    with started("work", env=env), started("work", "--processes", env=env) as worker:
        read_until(worker, "carrying on the processes of log main: publication")

        def done() -> bool:
            printed = json.loads(daybook("processes", "--json", "--status", "done", env=env).stdout)
            return [process["stream"] for process in printed["processes"]] == [POST]

        wait_until(done, "the end of the process")


def test_a_process_does_one_of_two_things(database18: Database) -> None:
    refused = daybook("work", "--processes", "--projections", "posts", env=environment(database18))
    assert refused.returncode == 2
    assert "not both" in refused.stderr


def test_a_worker_without_tables_says_what_to_do(database18: Database) -> None:
    with executor_on(database18):
        pass
    refused = daybook("work", "--processes", env=environment(database18))
    assert refused.returncode == 3
    assert "processes: there are no tables yet; run daybook migrate" in refused.stderr
