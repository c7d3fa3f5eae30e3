"""Batches: each item is like a separate request, or all items are one unit."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from psycopg_pool import PoolTimeout

from api.commands.windows import WINDOW
from api.services import Limits
from domain.accounts.posting import internal_account
from tests.support.ledger import assert_sound
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until

JSON, NDJSON = "application/json", "application/x-ndjson"
_numbers = count(1)


def send(
    service: Service, content: bytes | Iterator[bytes], kind: str = JSON, *, role: str = "command", **more: Any
) -> httpx.Response:
    """Post the bytes of a batch."""
    headers = {"Authorization": f"Bearer {TOKENS[role]}", "Content-Type": kind, **more.pop("headers", {})}
    return service.http.post("/v1/batches", content=content, headers=headers, **more)


def batch(service: Service, items: list[Any], kind: str = JSON) -> list[dict[str, Any]]:
    """Post these items and return their answers."""
    content = orjson.dumps(items) if kind == JSON else b"\n".join(map(orjson.dumps, items))
    response = send(service, content, kind)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith(kind)
    answers = response.json() if kind == JSON else [orjson.loads(line) for line in response.content.splitlines()]
    assert len(answers) == len(items)
    if answers and (last := [a["body"]["position"] for a in answers if "position" in a["body"]]):
        service.last["position"] = last[-1]
    return list(answers)


def item(path: str, body: Any, key: str | None = None, **more: Any) -> dict[str, Any]:
    return {"key": f"item-{next(_numbers)}" if key is None else key, "path": f"/v1/{path}", "body": body, **more}


def transfer(source: str, target: str, amount: str, **more: Any) -> dict[str, Any]:
    return item("transfers", {"source": source, "target": target, "amount": amount, "currency": "EUR"}, **more)


def balance(service: Service, account: str) -> str:
    answered: str = service.get(f"accounts/{account}").json()["balance"]
    return answered


def test_the_events_of_each_item_name_its_key_and_its_batch(service: Service) -> None:
    one, two = service.account("1000.00"), service.account()
    odd = 'a "quoted" \\ key'
    batch(service, [transfer(one, two, "1.00", key=odd), transfer(one, two, "2.00", key="plain-item")])
    with psycopg.connect(service.database.url) as connection:
        rows = connection.execute(
            "SELECT c.key, e.metadata FROM log.commands c JOIN log.events_as_json e ON e.position BETWEEN"
            " c.first_position AND c.last_position WHERE c.key = ANY (%s) ORDER BY e.position",
            ([odd, "plain-item"],),
        ).fetchall()
    assert [(metadata["key"], metadata["actor"]["id"]) for _, metadata in rows] == [
        (key, "the-command") for key in [odd] * 3 + ["plain-item"] * 3
    ]
    assert {key for key, _ in rows} == {odd, "plain-item"}
    [correlation] = {metadata["correlation"] for _, metadata in rows}
    assert correlation.startswith("batch_")


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_thousands_of_items_are_answered_in_order(service: Service, kind: str) -> None:
    one, two = service.account("1000.00"), service.account()
    items = [transfer(one, two, "0.50") for _ in range(1999)]
    answers = batch(service, [*items, transfer(one, two, "0.51"), transfer(one, two, "0.50")], kind)
    assert [a["key"] for a in answers[:1999]] == [i["key"] for i in items]
    assert [a["status"] for a in answers] == [201] * 1999 + [422, 201]
    assert answers[1999]["body"]["figures"]["available"] == "0.50"
    assert answers[1999]["body"]["instance"] == "/v1/transfers"
    assert (balance(service, one), balance(service, two)) == ("0.00", "1000.00")
    positions = [int(a["body"]["position"].rsplit(".", 1)[1]) for a in answers if a["status"] == 201]
    assert positions == sorted(positions)
    assert_sound(service.database)


def test_an_item_and_a_separate_request_are_the_same_command(service: Service) -> None:
    account = service.account("10.00")
    body = {"amount": "1.00", "currency": "EUR"}
    alone = service.post(f"accounts/{account}/withdrawals", body, key="alone-first")
    (again,) = batch(service, [item(f"accounts/{account}/withdrawals", body, key="alone-first")])
    assert again == {
        "key": "alone-first", "status": 201, "body": alone.json(), "replayed": True,
        "version": int(alone.headers["ETag"].strip('"')),
    }  # fmt: skip
    (first,) = batch(service, [item(f"accounts/{account}/withdrawals", body, key="batch-first")])
    retry = service.post(f"accounts/{account}/withdrawals", body, key="batch-first")
    assert retry.headers["Idempotency-Replayed"] == "true"
    assert retry.json() == first["body"]
    assert balance(service, account) == "8.00"
    misused = {"amount": "2.00", "currency": "EUR"}
    (reused,) = batch(service, [item(f"accounts/{account}/withdrawals", misused, key="batch-first")])
    assert (reused["status"], reused["body"]["code"]) == (409, "key_reused")


def test_the_same_batch_again_changes_nothing(service: Service) -> None:
    one, two = service.account("5.00"), service.account()
    items = [transfer(one, two, "3.00"), transfer(one, two, "3.00"), item("accounts", {
        "type": "savings", "currency": "EUR", "owner": "o", "name": "n"})]  # fmt: skip
    first = batch(service, items)
    before = service.log_digest()
    again = batch(service, items)
    assert [a["status"] for a in first] == [201, 422, 201]
    assert [a.pop("replayed") for a in again] == [True] * 3
    assert again == first
    assert service.log_digest() == before


def test_a_key_twice_in_one_batch_has_one_effect(service: Service) -> None:
    one, two = service.account("5.00"), service.account()
    first, second, other = batch(
        service, [transfer(one, two, "3.00", key="twin"), transfer(one, two, "3.00", key="twin"),
                  transfer(one, two, "1.00", key="twin")]
    )  # fmt: skip
    assert (first["status"], second["status"], other["status"]) == (201, 201, 409)
    assert second == {**first, "replayed": True}
    assert balance(service, two) == "3.00"


def test_an_error_of_an_item_affects_no_other_item(service: Service) -> None:
    one, two = service.account("5.00"), service.account()
    items: list[Any] = [
        transfer(one, two, "1.00"),
        transfer(one, two, "-1.00"),
        transfer(one, two, "1.00", key=""),
        {"key": "k", "path": "/v1/nothing", "body": {}},
        {"key": "k", "path": "/v1/batches", "body": {}},
        {"key": "k", "path": "/v1/transfers", "body": {}, "more": 1},
        "a text",
        None,
        transfer(one, "acct_01h455vb4pex5vsknk084sn02q", "1.00"),
        transfer(one, two, "1.00", if_match='"1"'),
        item(f"accounts/{one}/withdrawals", {"amount": "1.00", "currency": "EUR"}, if_match='"1"'),
        item(f"accounts/{one}/withdrawals", {"amount": "1.00", "currency": "EUR"}, if_match="one"),
        transfer(one, two, "1.00"),
    ]
    answers = batch(service, items)
    assert [(a["status"], a["body"].get("code")) for a in answers] == [
        (201, None), (400, "malformed"), (400, "key_missing"), (404, "no_route"), (404, "no_route"),
        (400, "malformed"), (400, "malformed"), (400, "malformed"), (404, "unknown"), (400, "malformed"),
        (412, "version_stale"), (400, "malformed"), (201, None),
    ]  # fmt: skip
    assert balance(service, one) == "3.00"
    assert_sound(service.database)


def test_a_line_that_is_not_json_affects_no_other_line(service: Service) -> None:
    one, two = service.account("5.00"), service.account()
    good = [orjson.dumps(transfer(one, two, "1.00")) for _ in range(2)]
    bad = [b"{", b'{"key": "a", "key": "b"}', b'{"key": "\\u0000"}', b"[" * 40 + b"]" * 40, b"\xff"]
    response = send(service, b"\r\n".join([b"", good[0], *bad, b"   ", good[1]]), NDJSON)
    answers = [orjson.loads(line) for line in response.content.splitlines()]
    assert [a["status"] for a in answers] == [201, 400, 400, 400, 400, 400, 201]
    assert [a["key"] for a in answers[1:-1]] == [None] * 5


def test_the_parts_in_which_lines_arrive_do_not_matter(service: Service) -> None:
    one, two = service.account("50.00"), service.account()
    body = b"\n".join(orjson.dumps(transfer(one, two, "1.00")) for _ in range(20))

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    response = send(service, pieces(), NDJSON)
    assert [orjson.loads(line)["status"] for line in response.content.splitlines()] == [201] * 20


def test_an_empty_batch_has_no_answers(service: Service) -> None:
    assert batch(service, []) == []
    assert batch(service, [], NDJSON) == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"[]", "text/plain", 400, "content_type"),
        (b"{}", JSON, 400, "malformed"),
        (b"[", JSON, 400, "malformed"),
        (b'[{"key": "a"]', JSON, 400, "malformed"),
        (b"[1] [2]", JSON, 400, "malformed"),
        (b"[" * 100_000, JSON, 400, "malformed"),
    ],
)
def test_a_body_that_is_not_a_batch(service: Service, content: bytes, kind: str, status: int, code: str) -> None:
    before = service.log_digest()
    response = send(service, content, kind)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert service.log_digest() == before


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_an_item_that_cannot_be_parsed_affects_no_other_item(service: Service, kind: str) -> None:
    one, two = service.account("10.00"), service.account()
    wrong = [
        b'{"path": "/v1/transfers", "path": "/v1/posts"}',
        b'{"path": "\xff"}',
        b'{"path": "\\u0000"}',
        b"[" * 33 + b"]" * 33,
        b"null",
    ]
    items = [orjson.dumps(transfer(one, two, "1.00")), *wrong, orjson.dumps(transfer(one, two, "2.00"))]
    response = send(service, b"[" + b" , ".join(items) + b"]" if kind == JSON else b"\n".join(items), kind)
    answers = response.json() if kind == JSON else [orjson.loads(line) for line in response.content.splitlines()]
    assert [answer["status"] for answer in answers] == [201, *[400] * len(wrong), 201]
    assert "twice" in answers[1]["body"]["detail"]
    assert answers[-1]["body"]["balances"][two]["balance"] == "3.00"


def test_a_role_without_commands_cannot_post_a_batch(service: Service) -> None:
    assert send(service, b"[]", role="report").status_code == 403
    (answered,) = batch(service, [item("accounts", {"type": "cash", "currency": "USD", "name": "cash"})])
    assert (answered["status"], answered["body"]["code"]) == (403, "forbidden")


# ---------------------------------------------------------------------- all or nothing


def together(service: Service, items: list[Any], key: str, **params: str) -> httpx.Response:
    response = send(
        service, orjson.dumps([{k: v for k, v in i.items() if k != "key"} for i in items]),
        params={"atomic": "true", **params}, headers={"Idempotency-Key": key},
    )  # fmt: skip
    if "Daybook-Position" in response.headers:
        service.last["position"] = response.headers["Daybook-Position"]
    return response


def test_all_in_one_unit(service: Service) -> None:
    one, two = service.account("10.00"), service.account()
    items = [
        item(f"accounts/{one}/deposits", {"amount": "5.00", "currency": "EUR"}),
        transfer(one, two, "15.00"),  # the deposit before it provides the money
        item(f"accounts/{two}/withdrawals", {"amount": "1.00", "currency": "EUR"}),
    ]
    response = together(service, items, "whole")
    assert response.status_code == 201, response.text
    answered = response.json()
    assert len(answered["results"]) == 3
    assert answered["results"][1]["balances"][one]["balance"] == "0.00"
    assert (balance(service, one), balance(service, two)) == ("0.00", "14.00")
    end = int(answered["position"].rsplit(".", 1)[1])
    log = service.get("log", role="audit", after=f"main.1.{end - 9}", limit=200).json()["events"]
    assert {event["unit_end"] for event in log} == {end}
    cash = internal_account("main", "cash", "EUR")
    assert cash not in answered["versions"], "an entry on it commutes: the append determines its version"
    again = together(service, items, "whole")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == response.content
    assert together(service, items[:2], "whole").json()["code"] == "key_reused"
    assert_sound(service.database)


def test_an_atomic_batch_with_a_refused_item_changes_nothing(service: Service) -> None:
    one, two = service.account("10.00"), service.account()
    items = [transfer(one, two, "6.00"), transfer(one, two, "6.00"), transfer(two, one, "1.00")]
    response = together(service, items, "half")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "item_refused")
    assert (problem["figures"]["item"], problem["figures"]["rule"]) == (2, "below_minimum")
    assert problem["figures"]["figures"]["available"] == "4.00"
    assert "item 2 is refused: Account" in problem["detail"]
    assert balance(service, one) == "10.00"
    assert together(service, items, "half").content == response.content, "the refusal is recorded"


def test_an_atomic_batch_with_an_invalid_item_changes_nothing(service: Service) -> None:
    one, two = service.account("10.00"), service.account()
    before = service.log_digest()
    wrong = together(service, [transfer(one, two, "1.00"), transfer(one, two, "0")], "wrong")
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["figures"]["item"]) == (400, "malformed", 2)
    unknown = together(service, [transfer(one, "acct_01h455vb4pex5vsknk084sn02q", "1.00")], "wrong")
    assert unknown.status_code == 404
    keyed = send(service, orjson.dumps([transfer(one, two, "1.00")]), params={"atomic": "true"},
                 headers={"Idempotency-Key": "wrong"})  # fmt: skip
    assert "has one key" in keyed.json()["detail"]
    assert together(service, [], "wrong").status_code == 400
    keyless = send(service, orjson.dumps([{"path": "/v1/posts"}]), params={"atomic": "true"})
    assert keyless.json()["code"] == "key_missing"
    assert service.log_digest() == before


def test_expected_versions_of_items_are_compared_with_the_log_before_the_batch(service: Service) -> None:
    one, two = service.account("10.00"), service.account()
    seen = {"expected_versions": {one: 2}}
    items = [transfer(one, two, "1.00"), transfer(one, two, "1.00")]
    for each in items:
        each["body"] |= seen
    assert together(service, items, "seen").status_code == 201
    stale = together(service, items, "stale")
    assert (stale.status_code, stale.json()["figures"]["actual"]) == (409, {one: 4})
    items[1]["body"]["expected_versions"] = {one: 3}
    assert "expects version 3" in together(service, items, "at odds").json()["detail"]


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_a_batch_that_is_refused_as_a_whole_changes_nothing(postgres18: Server, kind: str) -> None:
    """Also if the reason comes late in the body, after more than a window of valid items."""
    most = WINDOW + 50
    with postgres18.database() as database, service_on(database, limits=Limits(batch_items=most)) as service:
        before = service.log_digest()
        items = [item("posts", {"author": "a", "title": "t", "body": "b"}) for _ in range(most + 1)]
        lines = [orjson.dumps(one) for one in items]
        content = b"[" + b",".join(lines) + b"]" if kind == JSON else b"\n".join(lines)
        assert send(service, content, kind).status_code == 413

        def in_parts() -> Iterator[bytes]:
            for start in range(0, len(content), 10_000):
                yield content[start : start + 10_000]

        assert send(service, in_parts(), kind).status_code == 413
        assert service.log_digest() == before


def test_an_opening_without_a_number_fails_alone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise PoolTimeout("no connection is free")

    one, two = service.account("5.00"), service.account()
    opening = {"type": "checking", "currency": "EUR", "owner": "owner-1", "name": "Ada Lovelace"}
    items = [transfer(one, two, "1.00"), item("accounts", opening), transfer(one, two, "2.00")]
    with monkeypatch.context() as without:
        without.setattr(service.services.numbers, "next", none)
        answers = batch(service, items)
    assert [answer["status"] for answer in answers] == [201, 503, 201]
    assert answers[1]["body"]["code"] == "unavailable"
    assert [answer["status"] for answer in batch(service, items)] == [201] * 3


def test_the_number_of_concurrent_batches_is_limited(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database, limits=Limits(batches=1)) as service:
        answered: list[httpx.Response] = []

        def other_is_refused() -> bool:
            answered.append(send(service, b"[]"))
            return answered[-1].status_code == 503

        def slowly() -> Iterator[bytes]:
            yield b"["
            wait_until(other_is_refused, "a refusal of the second batch")
            yield b"]"

        assert send(service, slowly()).status_code == 200, "the first batch is accepted"
        refused = answered[-1]
        assert (refused.json()["code"], refused.headers["Retry-After"]) == ("busy", "1")
        assert "1 batches are under way, the most allowed" in refused.json()["detail"]
        assert send(service, b"[]").status_code == 200, "the limit has a free place again"


def _dense(value: bytes, kind: str, size: int) -> bytes:
    """A batch of nearly `size` bytes that repeats this value."""
    separator = b"," if kind == JSON else b"\n"
    values = separator.join([value] * (size // (len(value) + 1) - 1))
    return b"[" + values + b"]" if kind == JSON else values


_LARGEST = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def bounded(postgres18: Server) -> Iterator[Service]:
    limits = Limits(batch_bytes=_LARGEST)
    with postgres18.database() as database, service_on(database, limits=limits) as service:
        yield service


_TIMES = 12
"""The memory that a batch may use, without its answers and with the copy of the client, in multiples of its body."""


@pytest.mark.parametrize("kind", [JSON, NDJSON])
@pytest.mark.parametrize(
    "value", [b"{}", b'{"a":{}}', b"[[],[],[],[],[],[],[]]", b"12", b'"abcde"', b'{"a":"bcdefgh"}']
)
def test_the_memory_for_a_body_is_a_small_multiple_of_its_size(bounded: Service, kind: str, value: bytes) -> None:
    response, peak = _traced(bounded, _dense(value, kind, _LARGEST), kind)
    assert response.status_code == 413, response.text[:200]
    assert peak < _TIMES * _LARGEST, f"{peak / _LARGEST:.1f} times the bytes of the body"


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_items_are_not_all_parsed_at_once(bounded: Service, kind: str) -> None:
    value = b'{"path":"/v1/posts","key":"k","body":{"a":[%s]}}' % b",".join([b"[[]]"] * 2_000)
    content = _dense(value, kind, 1024 * 1024)
    response, peak = _traced(bounded, content, kind)
    assert response.text.count('"key":"k","status":400') == content.count(b"path")
    assert peak < _TIMES * len(content), f"{peak / len(content):.1f} times the bytes of the body"


def _drafts(number: int, text: str = "b") -> list[dict[str, Any]]:
    return [item("posts", {"author": "a", "title": "t", "body": text}) for _ in range(number)]


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_the_most_items_are_all_accepted_in_order(bounded: Service, kind: str) -> None:
    items = _drafts(Limits().batch_items)
    answers = batch(bounded, items, kind)
    assert [(answer["key"], answer["status"]) for answer in answers] == [(one["key"], 201) for one in items]
    positions = [int(answer["body"]["position"].rsplit(".", 1)[1]) for answer in answers]
    assert positions == [*range(positions[0], positions[0] + len(items))], "no event between them"


def test_the_most_concurrent_batches_use_a_bounded_memory(postgres18: Server) -> None:
    """All are accepted, with the most items in nearly the most bytes."""
    limits = Limits(batch_items=2_000, batch_bytes=1024 * 1024, principal_share=1)
    contents = [orjson.dumps(_drafts(limits.batch_items, "b" * 420)) for _ in range(limits.batches)]
    assert all(0.9 * limits.batch_bytes < len(content) <= limits.batch_bytes for content in contents)
    with (
        postgres18.database() as database,
        service_on(database, limits=limits, principal_limit=limits.batches * limits.batch_items) as service,
        ThreadPoolExecutor(limits.batches) as pool,
    ):
        tracemalloc.start()
        try:
            responses = list(pool.map(partial(send, service), contents))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        for content, response in zip(contents, responses, strict=True):
            answered = [(answer["key"], answer["status"]) for answer in response.json()]
            assert answered == [(one["key"], 201) for one in orjson.loads(content)]
        beside = peak - sum(len(response.content) for response in responses)
        assert beside < _TIMES * limits.batches * limits.batch_bytes, f"{beside / sum(map(len, contents)):.1f} times"
        assert_sound(database)


def _traced(service: Service, content: bytes, kind: str) -> tuple[httpx.Response, int]:
    """The answer, and the peak of allocated bytes before it."""
    tracemalloc.start()
    try:
        return send(service, content, kind), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
