"""A batch with an `Idempotency-Key` is recorded, and what became of its items can be read later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from api.queries.positions import cursor
from domain.batch import DIGEST, MOST_KEYS
from eventstore.log.answers import Outcome, count_outcomes, find_answers
from tests.support.ledger import assert_sound
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service

EUR = {"amount": "1.00", "currency": "EUR"}
ACCOUNTS = 8
_numbers = count(1)


def fresh(what: str) -> str:
    """A key that no other test uses."""
    return f"{what}-{next(_numbers)}"


def deposit(account: str, key: str | None = None, amount: str = "1.00") -> dict[str, Any]:
    body = {"amount": amount, "currency": "EUR"}
    return {"key": key or fresh("deposit"), "path": f"/v1/accounts/{account}/deposits", "body": body}


def get(service: Service, path: str, **more: Any) -> httpx.Response:
    """Read as the client that sends commands."""
    return service.get(path, **{"role": "command", **more})


def send(service: Service, items: list[Any], key: str | None = None, **more: Any) -> httpx.Response:
    """Post a batch with a key."""
    posted: httpx.Response = service.post("batches", items, key=key or fresh("batch"), **more)
    return posted


def outcomes(service: Service, batch: str, **more: Any) -> dict[str, int]:
    """How many items have which outcome, without those that none has."""
    answered = get(service, f"batches/{batch}", **more)
    assert answered.status_code == 200, answered.text
    return {outcome: number for outcome, number in answered.json()["outcomes"].items() if number}


def items_of(service: Service, batch: str, limit: int = 200) -> list[dict[str, Any]]:
    """What became of each item, read page by page."""
    items: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        answered = get(service, f"batches/{batch}/items", limit=limit, **more).json()
        items += answered["items"]
        if answered["next"] is None:
            return items
        assert len(answered["items"]) == limit
        more = {"cursor": answered["next"]}


def submitted(service: Service) -> int:
    """The number of events of batches in the log."""
    with psycopg.connect(service.database.url) as connection:
        row = connection.execute("SELECT count(*) FROM log.events WHERE type = 'batch.submitted.v1'").fetchone()
    assert row is not None
    return int(row[0])


def test_the_outcome_of_each_item_can_be_read_later(service: Service) -> None:
    account, key = service.account("5.00"), fresh("batch")
    wrong = {**deposit(account), "body": {"amount": "-1.00", "currency": "EUR"}}
    items = [
        deposit(account),
        {"key": fresh("much"), "path": f"/v1/accounts/{account}/withdrawals", "body": {**EUR, "amount": "900.00"}},
        {"key": fresh("stale"), "path": f"/v1/accounts/{account}/withdrawals", "body": EUR, "if_match": '"1"'},
        wrong,
        deposit("acct_01h455vb4pex5vsknk084sn02q"),
        "a text",
    ]
    posted = send(service, items, key=key)
    assert posted.status_code == 200
    answers, batch = posted.json(), posted.headers["Daybook-Batch"]
    found = get(service, f"batches/{batch}").json()
    assert {name: found[name] for name in ("batch", "actor", "key", "items")} == {
        "batch": batch, "actor": "the-command", "key": key, "items": 6,
    }  # fmt: skip
    assert found["outcomes"] == {
        "accepted": 1, "refused": 1, "expectation_failed": 1, "key_reused": 0, "not_recorded": 3,
    }  # fmt: skip
    read = items_of(service, batch)
    assert [item["item"] for item in read] == [1, 2, 3, 4, 5, 6]
    assert [item["outcome"] for item in read] == ["accepted", "refused", "expectation_failed", *["not_recorded"] * 3]
    assert [item["key"] for item in read] == [*(item["key"] for item in items[:5]), None]  # type: ignore[index]
    for item, answer in zip(read[:3], answers[:3], strict=True):
        assert item["status"] == answer["status"]
        assert item["body"] == {name: member for name, member in answer["body"].items() if name != "instance"}
    assert read[1]["body"]["code"] == "below_minimum"
    assert read[1]["body"]["figures"]["available"] == "6.00"
    assert (read[3]["status"], read[3]["body"], read[3]["recorded_at"]) == (None, None, None)
    assert get(service, f"commands/{key}").json()["answer"]["batch"] == batch, "the key finds the id that was lost"
    assert_sound(service.database)


def test_the_events_of_the_items_name_the_batch(service: Service) -> None:
    account = service.account()
    one = deposit(account)
    batch = send(service, [one]).headers["Daybook-Batch"]
    with psycopg.connect(service.database.url) as connection:
        [(correlation,)] = connection.execute(
            "SELECT DISTINCT e.metadata->>'correlation' FROM log.commands c JOIN log.events_as_json e"
            " ON e.position BETWEEN c.first_position AND c.last_position WHERE c.key = %s",
            (one["key"],),
        ).fetchall()
    assert correlation == batch


def test_a_retry_is_the_same_batch(service: Service) -> None:
    account, key = service.account(), fresh("batch")
    items = [deposit(account) for _ in range(3)]
    first = send(service, items, key=key)
    before = service.log_digest()
    again = send(service, items, key=key)
    lines = b"\n".join(orjson.dumps(dict(reversed(item.items()))) for item in items)
    headers = {"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": key}
    in_lines = service.http.post(
        "/v1/batches", content=lines, headers=headers | {"Content-Type": "application/x-ndjson"}
    )
    batch = first.headers["Daybook-Batch"]
    assert again.headers["Daybook-Batch"] == in_lines.headers["Daybook-Batch"] == batch
    assert [answer["replayed"] for answer in again.json()] == [True] * 3
    assert service.log_digest() == before


def test_the_same_batch_from_two_clients_at_once_is_one(service: Service) -> None:
    account, key = service.account(), fresh("batch")
    items = [deposit(account) for _ in range(20)]
    limits = service.services.limits
    clients = limits.share_of(limits.batches)
    assert clients > 1
    with ThreadPoolExecutor(clients) as pool:
        posted = list(pool.map(lambda _: send(service, items, key), range(clients)))
    posted.append(send(service, items, key))  # the read below waits for the position of this answer
    assert {one.status_code for one in posted} == {200}
    [batch] = {one.headers["Daybook-Batch"] for one in posted}
    assert outcomes(service, batch) == {"accepted": 20}
    assert service.get(f"accounts/{account}").json()["balance"] == "20.00"


def test_a_key_is_for_one_batch(service: Service) -> None:
    account, key = service.account(), fresh("batch")
    items = [deposit(account), deposit(account)]
    send(service, items, key=key)
    before = service.log_digest()
    others = [
        [items[0], {**items[1], "body": {**EUR, "amount": "2.00"}}],  # another body
        [items[0], {**items[1], "key": fresh("other")}],  # another key
        [items[1], items[0]],  # another order
        items[:1],
        [],
    ]
    for other in others:
        reused = send(service, other, key=key)
        assert (reused.status_code, reused.json()["code"]) == (409, "key_reused")
    whole = [{name: member for name, member in item.items() if name != "key"} for item in items]
    assert service.post("batches?atomic=true", whole, key=key).json()["code"] == "key_reused"
    assert service.post(f"accounts/{account}/deposits", EUR, key=key).json()["code"] == "key_reused"
    assert service.log_digest() == before, "no item of them was carried out"


def test_an_item_whose_key_belongs_to_another_request(service: Service) -> None:
    """Used before the batch, twice in it, or the key of the batch itself: its outcome is not that of the other."""
    account, key, used, twin = service.account(), fresh("batch"), fresh("used"), fresh("twin")
    service.post(f"accounts/{account}/deposits", EUR, key=used)
    items = [
        deposit(account, used),
        deposit(account, used, "2.00"),
        deposit(account, twin),
        deposit(account, twin, "3.00"),
        deposit(account, key),
    ]
    posted = send(service, items, key=key)
    assert [answer["status"] for answer in posted.json()] == [201, 409, 201, 409, 409]
    batch = posted.headers["Daybook-Batch"]
    read = items_of(service, batch)
    assert [item["status"] for item in read] == [201, 409, 201, 409, 409]
    assert [item["outcome"] == "key_reused" for item in read] == [False, True, False, True, True]
    assert outcomes(service, batch) == {"accepted": 2, "key_reused": 3}


def test_ten_thousand_items_are_read_page_by_page(service: Service) -> None:
    accounts = [service.account() for _ in range(ACCOUNTS)]
    items = [deposit(accounts[n % ACCOUNTS]) for n in range(10_000)]
    items[2_500]["key"] = "\n"  # not a key
    posted = send(service, items)
    batch = posted.headers["Daybook-Batch"]
    assert outcomes(service, batch) == {"accepted": 9_999, "not_recorded": 1}
    read = items_of(service, batch)
    assert [item["item"] for item in read] == list(range(1, 10_001))
    expected = [item["key"] for item in items]
    expected[2_500] = None
    assert [item["key"] for item in read] == expected
    assert [item["outcome"] for item in read].count("accepted") == 9_999
    across = get(service, f"batches/{batch}/items", limit=7, cursor=cursor(MOST_KEYS - 3)).json()["items"]
    assert [item["item"] for item in across] == list(range(MOST_KEYS - 2, MOST_KEYS + 5)), "a page of two pieces"
    stream = service.get(f"streams/{batch}", role="audit", limit=200).json()["events"]
    assert [len(event["data"]["keys"]) for event in stream] == [MOST_KEYS] * 10
    assert len({event["unit_end"] for event in stream}) == 1


def test_a_page_beyond_the_end_is_empty(service: Service) -> None:
    batch = send(service, [deposit(service.account())]).headers["Daybook-Batch"]
    for number in (1, 10**15):
        assert get(service, f"batches/{batch}/items", cursor=cursor(number)).json() == {"items": [], "next": None}


def test_an_empty_batch_is_a_batch(service: Service) -> None:
    batch = send(service, []).headers["Daybook-Batch"]
    assert (get(service, f"batches/{batch}").json()["items"], items_of(service, batch)) == (0, [])
    assert outcomes(service, batch) == {}


def test_others_read_it_only_if_they_may_read_all(service: Service) -> None:
    batch = send(service, [deposit(service.account())], role="command").headers["Daybook-Batch"]
    stranger = service.customer("prsn_stranger")
    for path in (f"batches/{batch}", f"batches/{batch}/items"):
        for role in ("audit", "operator"):
            assert service.get(path, role=role).status_code == 200
        assert service.get(path, role="report").status_code == 403
        foreign = service.get(path, token=stranger)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown")
        unknown = service.get(path.replace(batch, "batch_01h455vb4pex5vsknk084sn02q"), token=stranger)
        assert foreign.json()["detail"].replace(batch, "") == unknown.json()["detail"].replace(
            "batch_01h455vb4pex5vsknk084sn02q", ""
        )


def test_a_customer_reads_a_batch_of_their_own(service: Service) -> None:
    token = service.customer("prsn_own")
    account, other = service.account("10.00", owner="prsn_own"), service.account("10.00")
    move = {"source": account, "target": other, **EUR}
    items = [
        {"key": fresh("move"), "path": "/v1/transfers", "body": move},
        {"key": fresh("move"), "path": "/v1/transfers", "body": move | {"source": other, "target": account}},
    ]
    posted = send(service, items, token=token)
    assert [answer["status"] for answer in posted.json()] == [201, 404]
    batch = posted.headers["Daybook-Batch"]
    assert outcomes(service, batch, token=token) == {"accepted": 1, "not_recorded": 1}
    own = service.get(f"batches/{batch}/items", token=token).json()["items"]
    assert own[0]["body"] == posted.json()[0]["body"]
    assert other not in own[0]["body"]["versions"]


@pytest.mark.parametrize("id", ["acct_01h455vb4pex5vsknk084sn02q", "batch_", "nothing"])
def test_an_id_of_something_else_is_unknown(service: Service, id: str) -> None:
    for path in (f"batches/{id}", f"batches/{id}/items"):
        assert get(service, path).status_code == 404
    account = service.account()
    assert get(service, f"batches/{account}").status_code == 404


def test_a_batch_without_a_key_or_only_tried_is_not_recorded(service: Service) -> None:
    account = service.account()
    headers = {"Authorization": f"Bearer {TOKENS['command']}"}
    before = submitted(service)
    posted = service.http.post("/v1/batches", json=[deposit(account)], headers=headers)
    assert (posted.status_code, "Daybook-Batch" in posted.headers) == (200, False)
    tried = service.post("batches?dry_run=true", [deposit(account)], key=fresh("tried"))
    assert (tried.status_code, "Daybook-Batch" in tried.headers) == (200, False)
    whole = {name: member for name, member in deposit(account).items() if name != "key"}
    assert "Daybook-Batch" not in service.post("batches?atomic=true", [whole]).headers
    assert submitted(service) == before


def test_the_outcomes_of_an_atomic_batch_are_one_answer(service: Service) -> None:
    """All its items have one key, and that of the request finds the answer with the result of each item."""
    account, key = service.account(), fresh("whole")
    items = [{"path": f"/v1/accounts/{account}/deposits", "body": EUR} for _ in range(2)]
    posted: httpx.Response = service.post("batches?atomic=true", items, key=key)
    read = get(service, f"commands/{key}").json()
    assert read["answer"] == posted.json()
    assert len(read["answer"]["results"]) == 2


@pytest.mark.parametrize("key", ["", "k" * 256, "kéy".encode("latin-1"), "twice, twice"])
def test_a_key_that_is_none_is_refused_and_nothing_is_carried_out(service: Service, key: str | bytes) -> None:
    account = service.account()
    before = service.log_digest()
    headers: dict[str, Any] = {"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": key}
    refused = service.http.post("/v1/batches", json=[deposit(account)], headers=headers)
    assert refused.status_code == 400
    assert service.log_digest() == before


def test_a_secret_in_an_item_leaves_no_trace(service: Service) -> None:
    """A command with a secret is refused in a batch. Nothing of its body is digested, so nobody can try passwords."""
    key, sent = fresh("batch"), fresh("secret")

    def batch(password: str) -> Any:
        body = {"username": "ada", "password": password}
        return send(service, [{"key": sent, "path": "/v1/sign-in", "body": body}], key=key)

    first, second = batch("one"), batch("another")
    assert first.json()[0]["status"] == 400
    assert second.headers["Daybook-Batch"] == first.headers["Daybook-Batch"], "the digests do not depend on it"
    [item] = items_of(service, first.headers["Daybook-Batch"])
    assert (item["key"], item["outcome"]) == (None, "not_recorded")


MANY = 50_000
_FILL = f"""
INSERT INTO log.commands (log, actor, key, request_hash, outcome, status, rule, result, decided_position, recorded_at)
SELECT 1, 'many', 'k-' || n, sha256(n::text::bytea), 2, 422, 'r', '{{}}', 0, now() FROM generate_series(1, {MANY}) n;
ANALYZE log.commands;
"""


def test_answers_are_found_by_the_primary_key(postgres18: Server) -> None:
    """With the rights of the API: one statement for a page, and one for the counts."""
    with postgres18.database() as database:
        with psycopg.connect(database.url) as owner:
            owner.execute(_FILL)
        with psycopg.connect(database.url, autocommit=True) as connection:
            explained = Explained(connection)
            connection.execute("SET ROLE daybook_query")
            keys = [f"k-{n}" for n in range(1, 1_001)]
            digests = [bytes(DIGEST // 2)] * len(keys)
            counted: dict[Outcome, int] = {}

            def run() -> None:
                counted.update(count_outcomes(connection, 1, "many", keys, digests, DIGEST // 2))
                find_answers(connection, 1, [("many", key) for key in keys[:200]])

            statements = explained.statements(run)
    assert counted == {Outcome.KEY_REUSED: 1_000}
    assert len(statements) == 2
    for statement in statements:
        assert [probed_index(scan) for scan in statement.scans if scan["Relation Name"] == "commands"] == [
            "commands_pkey"
        ]
