"""A key executes a command only once, and expected versions are compared with the actual ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eventstore.postgres.connect import connect
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until

ONE = {"amount": "1.00", "currency": "EUR"}


def unmarked(response: Any) -> tuple[int, bytes, str | None, str]:
    """A response without the mark of a replay."""
    return response.status_code, response.content, response.headers.get("ETag"), response.headers["Daybook-Position"]


def test_a_retry_gets_its_first_answer(service: Service) -> None:
    account = service.account("10.00")
    first = service.post(f"accounts/{account}/withdrawals", ONE, key="once")
    assert "Idempotency-Replayed" not in first.headers
    before = service.log_digest()
    again = service.post(f"accounts/{account}/withdrawals", {"currency": "EUR", "amount": "1.00"}, key="once")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert unmarked(again) == unmarked(first)
    assert service.log_digest() == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("accounts", {"type": "checking", "currency": "EUR", "owner": "o", "name": "n"}),
        ("posts", {"author": "a", "title": "t", "body": "b"}),
        ("orders", {"customer": "c", "currency": "EUR",
                    "lines": [{"sku": "s", "name": "n", "quantity": 1, "unit_price": "1"}]}),
    ],
)  # fmt: skip
def test_a_retry_of_a_creation_creates_nothing_new(service: Service, path: str, body: Any) -> None:
    first = service.post(path, body, key=f"make-{path}")
    again = service.post(path, body, key=f"make-{path}")
    assert first.headers["ETag"] == '"1"'
    assert unmarked(again) == unmarked(first)


def test_a_refusal_is_replayed_even_if_the_command_would_be_accepted_now(service: Service) -> None:
    account = service.account()
    first = service.post(f"accounts/{account}/withdrawals", ONE, key="too-early")
    service.post(f"accounts/{account}/deposits", ONE)
    again = service.post(f"accounts/{account}/withdrawals", ONE, key="too-early")
    assert first.status_code == 422
    assert unmarked(again) == unmarked(first)


def test_another_request_with_the_key_is_refused(service: Service) -> None:
    account = service.account("10.00")
    service.post(f"accounts/{account}/deposits", ONE, key="mine")
    before = service.log_digest()
    for path, body, headers in (
        (f"accounts/{account}/deposits", {**ONE, "amount": "2.00"}, {}),
        (f"accounts/{account}/withdrawals", ONE, {}),
        (f"accounts/{account}/deposits", ONE, {"If_Match": '"2"'}),
    ):
        response = service.post(path, body, key="mine", **headers)
        assert (response.status_code, response.json()["code"]) == (409, "key_reused")
    assert service.log_digest() == before


def test_the_same_key_of_another_principal_is_another_key(service: Service) -> None:
    account = service.account()
    mine = service.post(f"accounts/{account}/deposits", ONE, key="shared")
    theirs = service.post(f"accounts/{account}/deposits", ONE, key="shared", role="operator")
    assert theirs.status_code == 201
    assert theirs.json()["transaction"] != mine.json()["transaction"]


def test_if_match(service: Service) -> None:
    account = service.account()
    fresh = service.get(f"accounts/{account}").headers["ETag"]
    first = service.post(f"accounts/{account}/deposits", ONE, key="matched", If_Match=fresh)
    assert (first.status_code, first.headers["ETag"]) == (201, '"2"')
    stale = service.post(f"accounts/{account}/deposits", ONE, If_Match=fresh)
    problem = stale.json()
    assert (stale.status_code, problem["code"]) == (412, "version_stale")
    assert problem["figures"] == {"expected": {account: 1}, "actual": {account: 2}}
    assert f"{account} is at version 2, not 1" in problem["detail"]
    again = service.post(f"accounts/{account}/deposits", ONE, key="matched", If_Match=fresh)
    assert unmarked(again) == unmarked(first), "a retry gets its first answer even if its If-Match is stale now"


def test_expected_versions(service: Service) -> None:
    a, b = service.account("5.00"), service.account()
    body = {"source": a, "target": b, **ONE, "expected_versions": {a: 2, b: 1}}
    assert service.post("transfers", body).status_code == 201
    before = service.log_digest().events
    stale = service.post("transfers", body)
    assert (stale.status_code, stale.json()["code"]) == (409, "versions_stale")
    assert stale.json()["figures"] == {"expected": {a: 2, b: 1}, "actual": {a: 3, b: 2}}
    assert service.log_digest().events == before


def test_the_result_of_a_command_can_be_read(service: Service) -> None:
    account = service.account()
    key = "a key / with everything " + "k" * 200
    done = service.post(f"accounts/{account}/deposits", ONE, key=key)
    assert done.status_code == 201, done.text
    own = service.get(f"commands/{key}", role="command")
    assert own.status_code == 200, own.text
    assert own.json()["answer"] == done.json()
    assert service.get(f"commands/{key}", role="audit").status_code == 404, "the command is not of the auditor"
    audited = service.get(f"commands/{key}", role="audit", actor="the-command")
    assert audited.json() == own.json()
    assert service.get(f"commands/{key}", role="command", actor="the-operator").status_code == 403


@pytest.mark.parametrize("batched", [False, True], ids=["alone", "in a batch"])
def test_stale_versions_are_answered_in_one_order(service: Service, batched: bool) -> None:
    """The record has them sorted, so the first answer and its retry have the same order."""
    one, two = sorted((service.account("1.00"), service.account("1.00")))
    body = {**ONE, "source": one, "target": two, "expected_versions": {two: 1, one: 1}}

    def ask() -> Any:
        if not batched:
            return service.post("transfers", body, key=f"stale-{one}")
        return service.post("batches", [{"key": f"stale-{one}", "path": "/v1/transfers", "body": body}])

    first, again = ask(), ask()
    answered, repeated = (
        (first.json(), again.json()) if not batched else (first.json()[0]["body"], again.json()[0]["body"])
    )
    assert answered["code"] == "versions_stale"
    assert answered["detail"].startswith(f"{one} is at version 2, not 1; {two} is at version 2, not 1.")
    assert repeated == answered


def test_a_full_queue_is_answered_with_retry_after(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database) as service:
        service.services.executor.queue_limit = 0
        before = service.log_digest()
        headers = {"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": "k"}
        response = service.http.post("/v1/posts", json={"author": "a", "title": "t", "body": "b"}, headers=headers)
        assert (response.status_code, response.json()["code"]) == (503, "busy")
        assert response.headers["Retry-After"]
        assert service.log_digest() == before


def test_one_principal_may_not_fill_the_queue_alone(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database, principal_limit=3) as service:
        post = {"author": "a", "title": "t", "body": "b"}
        with connect(database.url, application_name="holder") as holder, ThreadPoolExecutor(4) as pool:
            holder.execute("BEGIN")
            holder.execute("SELECT log.lock_head(log) FROM log.logs")
            waiting = [pool.submit(service.post, "posts", post, key=f"waits-{number}") for number in range(3)]
            wait_until(lambda: service.services.commands.waiting("the-command") == 3, "three that wait")
            fourth = service.post("posts", post, key="one-too-many")
            other = pool.submit(service.post, "posts", post, role="operator", key="of-another")
            wait_until(
                lambda: service.services.commands.waiting("the-operator") == 1, "a waiting command of another principal"
            )
            holder.execute("COMMIT")
            assert [answer.result().status_code for answer in (*waiting, other)] == [201] * 4
        problem = fourth.json()
        assert (fourth.status_code, problem["code"], problem["figures"]) == (429, "too_many", {"most": 3})
        assert fourth.headers["Retry-After"]
        assert service.post("posts", post, key="one-too-many").status_code == 201, "the refused command has no record"


def test_a_batch_waits_for_its_own_share_of_the_queue_and_takes_no_other(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database, principal_limit=3) as service:
        post = {"author": "a", "title": "t", "body": "b"}
        items = [{"key": f"batch-{number}", "path": "/v1/posts", "body": post} for number in range(10)]

        def statuses() -> list[int]:
            headers = {"Authorization": f"Bearer {TOKENS['command']}"}
            return [one["status"] for one in service.http.post("/v1/batches", json=items, headers=headers).json()]

        with connect(database.url, application_name="holder") as holder, ThreadPoolExecutor(3) as pool:
            holder.execute("BEGIN")
            holder.execute("SELECT log.lock_head(log) FROM log.logs")
            waiting = [pool.submit(service.post, "posts", post, key=f"waits-{number}") for number in range(3)]
            wait_until(lambda: service.services.commands.waiting("the-command") == 3, "three that wait")
            assert statuses() == [429] * 10
            holder.execute("COMMIT")
            assert [answer.result().status_code for answer in waiting] == [201] * 3
        assert statuses() == [201] * 10, "three at a time"
        assert service.services.commands.waiting("the-command") == 0
