"""Long batches over HTTP: they come in parts, are carried out by a worker, and are followed, stopped and resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.gateway.principals import TokenHolder, digest
from api.services import Limits
from domain.batch import MOST_KEYS
from domain.kernel import Principal
from domain.long_batch import LIFE, MOST_ITEMS
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError, QueueFullError
from eventstore.log.answers import Answer
from tests.samples.accounts.chart import addition
from tests.support.ledger import NOW, assert_sound
from tests.support.long_batches import (
    deposit,
    fresh,
    items_of,
    long_batch_worker,
    opened,
    outcomes,
    send_part,
    sent,
    shown,
    wait_for_head,
)
from tests.support.postgres import Server
from tests.support.processes import Clock
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until

LONGEST_END_MS = 30_000
"""How long PostgreSQL may need to end a connection."""


def spooled(service: Service, batch: str | None = None) -> list[int]:
    """The parts that stand beside the log."""
    with psycopg.connect(service.database.url) as connection:
        rows = connection.execute(
            "SELECT part FROM batches.parts WHERE %(batch)s::text IS NULL OR batch = %(batch)s ORDER BY 1",
            {"batch": batch},
        ).fetchall()
    return [part for (part,) in rows]


def carry_out(service: Service, **more: Any) -> None:
    """Let a worker do everything that waits."""
    with long_batch_worker(service, **more) as worker:
        while worker.sweep():
            pass


def balance(service: Service, account: str) -> str:
    wait_for_head(service)
    found: str = service.get(f"accounts/{account}/balance").json()["balance"]
    return found


def test_a_long_batch_is_carried_out_in_parts_and_its_items_are_answered(service: Service) -> None:
    account = service.account("5.00")
    refused = {"key": fresh("much"), "path": f"/v1/accounts/{account}/withdrawals", "body": deposit("")["body"]}
    refused["body"] = {"amount": "900.00", "currency": "EUR"}
    stale = {**deposit(account), "path": f"/v1/accounts/{account}/withdrawals", "if_match": '"1"'}
    unknown = deposit("acct_01h455vb4pex5vsknk084sn02q")
    items = [deposit(account), refused, stale, deposit(account, amount="-1.00"), unknown, "a text", deposit(account)]
    batch = sent(service, items, 3)
    before = shown(service, batch)
    assert (before["status"], before["received"], before["parts"], before["part_items"]) == ("running", 7, 3, 3)
    assert before["outcomes"] == dict.fromkeys(before["outcomes"], 0) | {"waiting": 7}
    assert [item["outcome"] for item in items_of(service, batch)] == ["not_recorded"] * 7

    carry_out(service)
    after = shown(service, batch)
    assert (after["status"], after["parts_done"], after["cause"]) == ("finished", 3, None)
    assert after["outcomes"] == {
        "accepted": 2, "refused": 1, "expectation_failed": 1, "key_reused": 0, "unrecorded": 3, "waiting": 0,
    }  # fmt: skip
    read = items_of(service, batch)
    for limit in (1, 2, 3, 5, 7):
        assert items_of(service, batch, limit) == read
    assert [item["item"] for item in read] == [1, 2, 3, 4, 5, 6, 7]
    assert [item["code"] for item in read] == [None, None, None, "malformed", "unknown", "malformed", None]
    assert [item["outcome"] for item in read] == [
        "accepted", "refused", "expectation_failed", *["not_recorded"] * 3, "accepted",
    ]  # fmt: skip
    assert [item["key"] for item in read] == [*(item["key"] for item in items[:5]), None, items[6]["key"]]  # type: ignore[index]
    assert read[1]["body"]["code"] == "below_minimum"
    assert balance(service, account) == "5.02"
    assert spooled(service, batch) == []
    assert_sound(service.database)


def test_the_items_are_the_same_commands_as_in_requests_and_name_the_batch(service: Service) -> None:
    """A key that was used in a request is a replay here, and the other way round."""
    account, key = service.account(), fresh("key")
    one = deposit(account, key)
    assert service.post(f"accounts/{account}/deposits", one["body"], key=key).status_code == 201
    other, again = deposit(account), deposit(account, key, amount="0.02")
    batch = sent(service, [one, other, again], 3)
    carry_out(service)
    assert outcomes(service, batch) == {"accepted": 2, "key_reused": 1}
    assert balance(service, account) == "0.02"
    replayed = service.post(f"accounts/{account}/deposits", other["body"], key=other["key"])
    assert replayed.headers["Idempotency-Replayed"] == "true"
    with psycopg.connect(service.database.url) as connection:
        [(correlation, actor)] = connection.execute(
            "SELECT DISTINCT e.metadata->>'correlation', e.metadata->'actor'->>'id' FROM log.commands c"
            " JOIN log.events_as_json e ON e.position BETWEEN c.first_position AND c.last_position WHERE c.key = %s",
            (other["key"],),
        ).fetchall()
    assert (correlation, actor) == (batch, "the-command")


def test_the_body_of_a_part_goes_once_it_is_done(service: Service) -> None:
    account = service.account()
    batch = sent(service, [deposit(account) for _ in range(3)], 1)
    left: list[list[int]] = []
    carry_out(service, on_step=lambda step: left.append(spooled(service, batch)) if step == "execute" else None)
    assert left == [[1, 2, 3], [2, 3], [3]]


# Sending again


def test_the_opening_and_each_part_are_answered_again(service: Service) -> None:
    account, key = service.account(), fresh("long")
    items = [deposit(account) for _ in range(3)]
    first = service.post("long-batches", {"items": 3}, key=key)
    batch = first.json()["batch"]
    answers = [send_part(service, batch, 1, items[:2]), send_part(service, batch, 2, items[2:])]
    assert [answer.json()["received"] for answer in answers] == [2, 3]
    assert [answer.json()["status"] for answer in answers] == ["receiving", "running"]
    again = service.post("long-batches", {"items": 3}, key=key)
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
    for _ in range(2):
        repeated = [send_part(service, batch, 1, items[:2]), send_part(service, batch, 2, items[2:])]
        assert [answer.content for answer in repeated] == [answer.content for answer in answers]
        assert {answer.headers.get("Idempotency-Replayed") for answer in repeated} == {"true"}
        carry_out(service)
    assert balance(service, account) == "0.03"


def test_another_content_under_the_number_of_a_part_is_refused(service: Service) -> None:
    account = service.account()
    batch = opened(service, 3)
    items = [deposit(account), deposit(account)]
    assert send_part(service, batch, 1, items).status_code == 201
    other = send_part(service, batch, 1, [items[1], items[0]])
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")
    assert spooled(service, batch) == [1]


def test_a_part_that_cannot_come_now_leaves_its_number_free(service: Service) -> None:
    """It is refused without a record: sent when it is its turn, or with the right size, it is taken."""
    account = service.account()
    batch = opened(service, 5)
    parts = [[deposit(account), deposit(account)], [deposit(account), deposit(account)], [deposit(account)]]
    early = send_part(service, batch, 2, parts[1])
    assert (early.status_code, early.json()["code"]) == (422, "long_batch_order")
    assert early.json()["figures"] == {"batch": batch, "next": 1, "part": 2}
    assert spooled(service, batch) == []
    assert send_part(service, batch, 1, parts[0]).status_code == 201
    small = send_part(service, batch, 2, parts[1][:1])
    assert (small.status_code, small.json()["code"]) == (422, "long_batch_part_items")
    for number in (2, 3):
        assert send_part(service, batch, number, parts[number - 1]).status_code == 201
    carry_out(service)
    assert outcomes(service, batch) == {"accepted": 5}


# Bounds


def test_the_bounds_of_a_part(service: Service) -> None:
    account = service.account()
    batch = opened(service, MOST_KEYS + 1)
    items = [deposit(account) for _ in range(MOST_KEYS + 1)]
    many = send_part(service, batch, 1, items)
    assert (many.status_code, many.json()["code"]) == (413, "too_large")
    assert send_part(service, batch, 1, []).json()["code"] == "long_batch_part_items"
    assert send_part(service, batch, 1, items[:-1]).status_code == 201
    for number in (0, 1_001):
        assert send_part(service, batch, number, items[-1:]).status_code == 400
    most = service.services.limits.part_bytes
    last = send_part(service, batch, 2, [], content=b"[" + b" " * (most - 1) + b"]")
    assert (last.status_code, last.json()["code"]) == (413, "too_large")
    wrong = service.http.post(
        f"/v1/long-batches/{batch}/parts/2", content=b"", headers={"Authorization": f"Bearer {TOKENS['command']}"}
    )
    assert wrong.json()["code"] == "content_type"


def test_the_bounds_of_a_long_batch(service: Service) -> None:
    for items, status in ((0, 400), (1, 201), (MOST_ITEMS, 201), (MOST_ITEMS + 1, 400)):
        assert service.post("long-batches", {"items": items}).status_code == status


def test_what_a_sender_and_all_may_have_waiting_is_bounded(postgres18: Server) -> None:
    """Each bound just inside and outside. What was carried out makes room."""
    with postgres18.database() as database:
        with service_on(database) as service:
            account = service.account()
        size = len(str([deposit(account, "k-0001")]).replace("'", '"')) - 2

        def item(number: int) -> dict[str, Any]:
            return deposit(account, f"k-{number:04}")

        bounds = Limits(wait_seconds=10, long_batch_bytes=6 * size, long_batches=2, principal_share=0.5)
        with service_on(database, limits=bounds, fresh=False) as service:
            # The share of one principal is three items.
            batches = [opened(service, 2), opened(service, 2), opened(service, 1)]
            assert send_part(service, batches[0], 1, [item(1)]).status_code == 201
            assert send_part(service, batches[1], 1, [item(2)]).status_code == 201
            third = send_part(service, batches[2], 1, [item(3)])
            assert (third.status_code, third.json()["code"]) == (429, "too_many")
            assert third.json()["figures"] == {"most": 2}
            assert send_part(service, batches[0], 2, [item(4)]).status_code == 201
            fourth = send_part(service, batches[1], 2, [item(5)])
            assert (fourth.status_code, fourth.json()["figures"]) == (429, {"most": 3 * size})
            operators = opened(service, 4, role="operator")
            for number in range(3):
                assert (
                    send_part(service, operators, number + 1, [item(10 + number)], role="operator").status_code == 201
                )
            with psycopg.connect(database.url, autocommit=True) as connection:
                connection.execute("UPDATE batches.parts SET sender = 'somebody' WHERE part = 3")
            full = send_part(service, operators, 4, [item(13)], role="operator")
            assert (full.status_code, full.json()["code"]) == (503, "busy")
            carry_out(service)
            assert send_part(service, batches[1], 2, [item(5)]).status_code == 201
            assert send_part(service, batches[2], 1, [item(3)]).status_code == 201


# Workers


def test_two_workers_at_one_part_have_one_effect(service: Service) -> None:
    """The lock of a batch only saves work. A worker that lost it is overtaken by another one, and goes on."""
    account = service.account()
    for place in ("execute", "record", "remove"):
        batch = sent(service, [deposit(account) for _ in range(4)], 2)
        overtaken: list[str] = []

        def overtake(step: str, place: str = place, overtaken: list[str] = overtaken) -> None:
            if step == place and not overtaken:
                overtaken.append(step)
                with psycopg.connect(service.database.url, autocommit=True) as connection:
                    ended = connection.execute(
                        "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity"
                        " WHERE application_name = 'batches-lock'",
                        (LONGEST_END_MS,),
                    ).fetchall()
                assert ended == [(True,)], "the lock is free for the other worker"
                carry_out(service)

        with long_batch_worker(service, overtake) as worker, pytest.raises(psycopg.OperationalError):
            worker.sweep()
        assert overtaken == [place]
        assert outcomes(service, batch) == {"accepted": 4}
    assert balance(service, account) == "0.12"
    wait_for_head(service)
    assert_sound(service.database)


class Busy(AsyncExecutor):
    """An executor whose queue is full once."""

    full = True

    def execute_all(self, submissions: Sequence[Submission]) -> asyncio.Future[list[Answer | ExecutorError]]:
        """Refuse the first, and execute all others."""
        if self.full:
            self.full = False
            raise QueueFullError
        return super().execute_all(submissions)


def test_items_that_have_no_answer_yet_are_carried_out_again(service: Service) -> None:
    """Nothing is recorded of the part until each of its items has an answer."""
    account = service.account()
    batch = sent(service, [deposit(account) for _ in range(2)], 2)
    with long_batch_worker(service, commands=Busy) as worker:
        assert not worker.sweep()
        assert (shown(service, batch)["parts_done"], spooled(service, batch)) == (0, [1])
        wait_until(worker.sweep, "another try")
    assert outcomes(service, batch) == {"accepted": 2}
    assert balance(service, account) == "0.02"


# Stopping


def test_a_long_batch_is_stopped_and_sent_again_in_another(service: Service) -> None:
    account = service.account()
    items = [deposit(account) for _ in range(6)]
    batch = sent(service, items, 2)
    with long_batch_worker(service, lambda step: stop() if step == "remove" else None) as worker:

        def stop() -> None:
            answer = service.post(f"long-batches/{batch}/stop", {"reason": "Wrong file"})
            assert answer.status_code == 200, answer.text

        while worker.sweep():
            pass
    found = shown(service, batch)
    assert (found["status"], found["cause"], found["stopped_by"]) == ("stopped", "asked", "the-command")
    assert outcomes(service, batch) == {"accepted": 2, "waiting": 4}
    assert balance(service, account) == "0.02"
    assert spooled(service, batch) == []
    late = service.post(f"long-batches/{batch}/stop", {"reason": "Again"})
    assert (late.status_code, late.json()["code"]) == (422, "long_batch_status")
    again = sent(service, items, 3)
    carry_out(service)
    assert outcomes(service, again) == {"accepted": 6}
    assert balance(service, account) == "0.06"


def test_what_was_carried_out_of_the_part_in_which_it_was_stopped_is_counted(service: Service) -> None:
    account = service.account()
    batch = sent(service, [deposit(account) for _ in range(4)], 2)

    def stop(step: str) -> None:
        if step == "record":
            service.post(f"long-batches/{batch}/stop", {"reason": "Wrong file"}, role="operator")

    carry_out(service, on_step=stop)
    assert outcomes(service, batch) == {"accepted": 2, "waiting": 2}
    assert shown(service, batch)["parts_done"] == 0
    assert [item["outcome"] for item in items_of(service, batch)] == ["accepted"] * 2 + ["not_recorded"] * 2
    carry_out(service)
    assert spooled(service, batch) == []


def test_a_long_batch_that_is_too_old_is_ended(postgres18: Server) -> None:
    clock = Clock()
    with postgres18.database() as database, service_on(database, clock=clock) as service:
        account = service.account()
        receiving, running = opened(service, 2), sent(service, [deposit(account)], 1)
        send_part(service, receiving, 1, [deposit(account)])
        clock.forward(LIFE - timedelta(microseconds=1))
        done = sent(service, [deposit(account)], 1)
        with long_batch_worker(service) as worker:
            clock.forward(timedelta(microseconds=1))
            worker.sweep()
            late = send_part(service, receiving, 2, [deposit(account)])
            assert late.json()["code"] == "long_batch_status"
            while worker.sweep():
                pass
        for batch in (receiving, running):
            found = shown(service, batch)
            assert (found["status"], found["cause"]) == ("stopped", "expired")
        assert outcomes(service, done) == {"accepted": 1}
        assert balance(service, account) == "0.01"
        assert spooled(service) == []
        assert_sound(database)


def test_a_part_that_comes_after_the_end_of_time_is_refused(postgres18: Server) -> None:
    clock = Clock()
    with postgres18.database() as database, service_on(database, clock=clock) as service:
        batch = opened(service, 2)
        clock.forward(LIFE)
        answer = send_part(service, batch, 1, [deposit("acct_01h455vb4pex5vsknk084sn02q")])
        assert answer.json()["code"] == "long_batch_expired"
        assert answer.json()["figures"]["expires_at"] == (NOW + LIFE).isoformat()


def test_a_long_batch_whose_parts_are_lost_is_ended(service: Service) -> None:
    """After a restore of the log alone, for instance."""
    account = service.account()
    batch = sent(service, [deposit(account)], 1)
    with psycopg.connect(service.database.url, autocommit=True) as connection:
        connection.execute("DELETE FROM batches.parts WHERE batch = %s", (batch,))
    wait_for_head(service)
    service.get("long-batches", role="command")
    carry_out(service)
    assert shown(service, batch)["cause"] == "lost"
    assert balance(service, account) == "0.00"


# Who sends it, and who reads it


def test_the_sender_and_auditors_read_it_and_for_others_it_does_not_exist(service: Service) -> None:
    batch = sent(service, [deposit(service.account())], 1)
    token = service.customer("somebody-else")
    for path in (f"long-batches/{batch}", f"long-batches/{batch}/items"):
        for role in ("command", "audit", "operator"):
            assert service.get(path, role=role).status_code == 200
        assert service.get(path, token=token).status_code == 404
        assert service.get(path, role="report").status_code == 403

    def listed(**more: Any) -> list[str]:
        return [item["batch"] for item in service.get("long-batches", limit=200, **more).json()["items"]]

    assert batch in listed(role="command")
    assert batch in listed(role="audit", status="running")
    assert batch not in listed(role="audit", status="finished")
    assert listed(token=token) == []
    stopped = service.post(f"long-batches/{batch}/stop", {"reason": "Mine?"}, token=token)
    assert (stopped.status_code, stopped.json()["code"]) == (404, "unknown")
    assert send_part(service, batch, 1, ["a text"], token=token).status_code == 404
    assert service.post(f"long-batches/{batch}/stop", {"reason": "By us"}, role="operator").status_code == 200


def test_a_customer_sends_one_and_is_refused_what_is_not_theirs(service: Service) -> None:
    mine, other = service.account("5.00", owner="person-9"), service.account("5.00")
    token = service.customer("person-9")
    transfer = {"target": other, **deposit("")["body"]}
    items = [
        {"key": fresh("mine"), "path": "/v1/transfers", "body": {**transfer, "source": mine}},
        {"key": fresh("other"), "path": "/v1/transfers", "body": {**transfer, "source": other, "target": mine}},
        deposit(mine),
    ]
    batch = sent(service, items, 3, token=token)
    carry_out(service)
    read = items_of(service, batch, token=token)
    assert [(item["outcome"], item["code"]) for item in read] == [
        ("accepted", None), ("not_recorded", "unknown"), ("not_recorded", "forbidden"),
    ]  # fmt: skip


def test_a_sender_whose_token_is_gone_ends_the_batch(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database) as service:
        account = service.account()
        batch = sent(service, [deposit(account), deposit(account)], 1)
        holders = dict(service.grants)

        def revoke(step: str) -> None:
            if step == "remove":
                for key, holder in holders.items():
                    if holder.principal.id == "the-command":
                        del service.grants[key]

        carry_out(service, on_step=revoke)
        found = shown(service, batch, role="audit")
        assert (found["status"], found["cause"], found["parts_done"]) == ("stopped", "sender", 1)
        assert found["outcomes"]["accepted"] == 1


def test_a_role_of_another_token_that_came_later_does_not_count(service: Service) -> None:
    """The roles of a principal are those of all its tokens. A batch has those that it was opened with."""
    wait_for_head(service)
    items = [{"key": fresh("node"), "path": "/v1/chart/nodes", "body": addition()}, deposit(service.account())]
    batch = sent(service, items, 2)
    stronger = digest("a stronger token")
    service.grants[stronger] = TokenHolder(Principal("the-command", ("operator",)))
    try:
        carry_out(service)
    finally:
        del service.grants[stronger]
    assert [item["code"] for item in items_of(service, batch)] == ["forbidden", None]


def test_nothing_of_a_body_stands_in_the_database_in_clear(service: Service) -> None:
    account = service.account()
    secret = "for Ada Lovelace of Ockham"
    batch = sent(service, [deposit(account, description=secret), deposit(account)], 2)
    for text in (b"for Ada", b"Ockham", b"description"):
        with psycopg.connect(service.database.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM batches.parts WHERE batch = %(b)s AND position(%(t)s IN sealed) > 0"
                " UNION ALL SELECT count(*) FROM log.events WHERE stream = %(b)s AND position(%(t)s IN payload) > 0",
                {"b": batch, "t": text},
            ).fetchall()
        assert row == [(0,), (0,)]
    carry_out(service)
    assert outcomes(service, batch) == {"accepted": 2}


@pytest.mark.parametrize("column", ["part", "batch", "sealed"])
def test_what_is_sealed_opens_at_its_own_place_only(service: Service, column: str) -> None:
    """A part that was moved or damaged is not carried out. It is an error of Daybook, and the batch waits."""
    account = service.account()
    batch = sent(service, [deposit(account)], 1)
    changes = {
        "part": "UPDATE batches.parts SET part = 9 WHERE batch = %s",
        "batch": "UPDATE batches.parts SET batch = 'lbatch_other' WHERE batch = %s",
        "sealed": "UPDATE batches.parts SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE batch = %s",
    }
    with psycopg.connect(service.database.url, autocommit=True) as connection:
        connection.execute(changes[column], (batch,))
    wait_for_head(service)
    service.get("long-batches", role="command")
    carry_out(service)
    assert balance(service, account) == "0.00"
    assert shown(service, batch)["status"] == ("running" if column == "sealed" else "stopped")
