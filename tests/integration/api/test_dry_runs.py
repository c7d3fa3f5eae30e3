"""Dry runs: the answer that a command would get now, with nothing recorded."""

from __future__ import annotations

from typing import Any

import orjson
import psycopg
import pytest

from tests.samples.registry import ROUTES
from tests.support.service import TOKENS, Service

ONE = {"amount": "1.00", "currency": "EUR"}
FRESH = {
    *("account", "hold", "number", "order", "post", "position", "transaction", "versions", "approval"),
    *("quote", "conversion", "period", "payment", "payroll", "transfer_order", "batch", "reconciliation", "match"),
}
"""Members that differ from one execution to the next: ids and numbers, the position, and versions of new streams."""


def tried(
    service: Service, path: str, body: Any = None, *, role: str = "command", token: str | None = None, **headers: str
) -> Any:
    """The answer to a dry run."""
    response = service.post(f"{path}?dry_run=true", body, role=role, token=token, **headers)
    if response.status_code < 500 and response.status_code not in (400, 401, 403):
        assert response.headers["Daybook-Dry-Run"] == "true"
    return response


def comparable(response: Any) -> Any:
    """Status and body, without what differs from one execution to the next."""
    body = {name: value for name, value in response.json().items() if name not in FRESH}
    return response.status_code, body


@pytest.mark.parametrize("route", ROUTES)
def test_the_answer_is_that_of_the_command_and_nothing_is_recorded(service: Service, route: str) -> None:
    request = ROUTES[route](service)
    path = request.path(route).removeprefix("/v1/")
    before = service.log_digest()
    answers = [tried(service, path, request.body, role="operator", token=request.token) for _ in range(2)]
    assert service.log_digest() == before
    done = service.post(path, request.body, role="operator", token=request.token)
    assert done.status_code in (200, 201), done.text
    assert [comparable(answer) for answer in answers] == [comparable(done)] * 2
    assert service.log_digest() != before
    for answer in answers:
        known = {stream: version for stream, version in done.json()["versions"].items() if stream in path}
        assert known.items() <= answer.json()["versions"].items()


def test_a_refusal_is_foreseen_and_not_recorded(service: Service) -> None:
    account = service.account()
    before = service.log_digest()
    refused = tried(service, f"accounts/{account}/withdrawals", ONE)
    stale = tried(service, f"accounts/{account}/deposits", ONE, If_Match='"9"')
    unknown = tried(service, "accounts/acct_01h455vb4pex5vsknk084sn02q/deposits", ONE)
    assert [answer.status_code for answer in (refused, stale, unknown)] == [422, 412, 404]
    assert service.log_digest() == before
    done = service.post(f"accounts/{account}/withdrawals", ONE)
    assert done.json() == refused.json()


def test_a_key_is_not_used_up_and_a_used_one_answers_as_it_would(service: Service) -> None:
    account = service.account("5.00")
    path = f"accounts/{account}/withdrawals"
    foreseen = tried(service, path, ONE, key=f"key-of-{account}")
    done = service.post(path, ONE, key=f"key-of-{account}")
    assert (foreseen.status_code, done.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in done.headers
    again = tried(service, path, ONE, key=f"key-of-{account}")
    assert (again.headers["Idempotency-Replayed"], again.content) == ("true", done.content)
    other = tried(service, path, {**ONE, "amount": "2.00"}, key=f"key-of-{account}")
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")


def test_a_person_gets_no_key_and_an_erased_one_is_refused_as_by_the_command(service: Service) -> None:
    body = {"type": "checking", "currency": "EUR", "owner": f"new-{service.account()}", "name": "Ada"}
    before = service.log_digest()
    assert tried(service, "accounts", body).status_code == 201
    assert service.log_digest() == before
    assert service.post("accounts", body).status_code == 201
    with psycopg.connect(service.database.url) as superuser:
        erased = "UPDATE log.subject_keys SET sealed_key = NULL, erased_at = now() WHERE subject = %s"
        assert superuser.execute(erased, (body["owner"],)).rowcount == 1
    service.services.executor._codec.forget_keys()
    done, foreseen = service.post("accounts", body), tried(service, "accounts", body)
    assert done.status_code == foreseen.status_code == 400
    assert done.json() == foreseen.json()


def test_an_atomic_batch_is_tried_as_a_whole(service: Service) -> None:
    account = service.account()
    items = [
        {"path": f"/v1/accounts/{account}/deposits", "body": ONE},
        {"path": f"/v1/accounts/{account}/withdrawals", "body": ONE},
    ]
    before = service.log_digest()
    foreseen = service.post("batches?atomic=true&dry_run=true", items)
    assert service.log_digest() == before
    done = service.post("batches?atomic=true", items)
    assert foreseen.status_code == done.status_code == 201
    assert foreseen.headers["Daybook-Dry-Run"] == "true"
    assert [result["balances"] for result in foreseen.json()["results"]] == [
        result["balances"] for result in done.json()["results"]
    ]


def test_each_item_of_another_batch_is_tried_alone(service: Service) -> None:
    account = service.account()
    items = [
        {"path": f"/v1/accounts/{account}/deposits", "key": "one", "body": ONE},
        {"path": f"/v1/accounts/{account}/withdrawals", "key": "two", "body": ONE},
    ]
    before = service.log_digest()
    foreseen = service.post("batches?dry_run=true", items)
    assert (foreseen.status_code, foreseen.headers["Daybook-Dry-Run"]) == (200, "true")
    assert [item["status"] for item in foreseen.json()] == [201, 422], "the deposit is not there for the withdrawal"
    assert service.log_digest() == before
    lines = b"\n".join(map(orjson.dumps, items))
    headers = {"Authorization": f"Bearer {TOKENS['command']}", "Content-Type": "application/x-ndjson"}
    streamed = service.http.post("/v1/batches?dry_run=true", content=lines, headers=headers)
    assert [orjson.loads(line)["status"] for line in streamed.content.splitlines()] == [201, 422]
    assert service.log_digest() == before


@pytest.mark.parametrize("value", ["", "1", "yes", "True", "true,true"])
def test_the_value_is_true_or_false(service: Service, value: str) -> None:
    account = service.account()
    before = service.log_digest()
    response = service.post(f"accounts/{account}/deposits?dry_run={value}", ONE)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert "true or false" in response.json()["detail"]
    assert service.log_digest() == before


def test_false_is_the_command_itself(service: Service) -> None:
    account = service.account()
    done = service.post(f"accounts/{account}/deposits?dry_run=false", ONE)
    assert (done.status_code, "Daybook-Dry-Run" in done.headers) == (201, False)
    assert done.json()["versions"][account] == 2
