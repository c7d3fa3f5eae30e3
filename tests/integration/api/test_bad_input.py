"""Bad input gets a code, a sentence and figures. It changes nothing except, for some codes, the record of commands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.ledger import new_id
from tests.support.service import TOKENS, Service

EUR = {"currency": "EUR"}


@pytest.fixture(scope="module")
def account(service: Service) -> str:
    return service.account("100.00")


def assert_malformed(service: Service, path: str, body: Any, *message: str) -> None:
    before = service.log_digest()
    response = service.post(path, body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, "malformed"), response.text
    for words in message:
        assert words in problem["detail"], problem["detail"]
    assert service.log_digest() == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"amount": "1.00", **EUR, "colour": "red"}, ["colour", "not permitted"]),
        ({"amount": 1, **EUR}, ["amount", "string"]),
        ({"amount": 1.5, **EUR}, ["amount", "string"]),
        ({"amount": None, **EUR}, ["amount", "string"]),
        (EUR, ["amount", "required"]),
        ({"amount": "1.001", **EUR}, ["amount", "'1.001' has 3 decimals; EUR has 2"]),
        ({"amount": "1.0", "currency": "JPY"}, ["amount", "'1.0' has 1 decimals; JPY has 0"]),
        ({"amount": "-1.00", **EUR}, ["amount", "'-1.00' is not more than zero"]),
        ({"amount": "0.00", **EUR}, ["amount", "'0.00' is not more than zero"]),
        ({"amount": "10000000000000.00", **EUR}, ["amount", "over the largest amount, 9999999999999.99"]),
        ({"amount": "9" * 5_000, **EUR}, ["amount", "is not a decimal amount"]),
        ({"amount": "1e3", **EUR}, ["amount", "'1e3' is not a decimal amount"]),
        ({"amount": " 1", **EUR}, ["amount", "is not a decimal amount"]),
        ({"amount": "NaN", **EUR}, ["amount", "is not a decimal amount"]),
        ({"amount": "\u0661", **EUR}, ["amount", "is not a decimal amount"]),
        ({"amount": "1.00", "currency": "XXX"}, ["currency", "Unknown currency 'XXX'"]),
        ({"amount": "1.00", "currency": "eur"}, ["currency", "Unknown currency 'eur'"]),
        ({"amount": "1.00", **EUR, "value_date": "21.11.2026"}, ["value_date", "2026-01-31"]),
        ({"amount": "1.00", **EUR, "value_date": "2026-02-30"}, ["value_date"]),
        ({"amount": "1.00", **EUR, "value_date": "2026-W01-1"}, ["value_date"]),
        ({"amount": "1.00", **EUR, "value_date": 1_700_000_000}, ["value_date"]),
        ({"amount": "1.00", **EUR, "description": ""}, ["description", "at least 1"]),
        ({"amount": "1.00", **EUR, "description": "x" * 501}, ["description", "at most 500"]),
        ({"amount": "1.00", **EUR, "expected_versions": {"a": -1}}, ["expected_versions"]),
        ({"amount": "1.00", **EUR, "expected_versions": {"a": True}}, ["expected_versions"]),
        ([], ["body"]),
        ("text", ["body"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_malformed_deposit(service: Service, account: str, body: Any, message: list[str]) -> None:
    assert_malformed(service, f"accounts/{account}/deposits", body, *message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b'{"amount": "1.00" "currency"}', "column"),
        (b'{"amount": "\\u0000"}', "NUL"),
        (b'{"amount": "\\ud800"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "deeper than 32"),
        (b'{"amount": ' + b"9" * 6_000 + b"}", ""),
        (b'{"amount": 1e999}', ""),
    ],
    ids=lambda value: "" if isinstance(value, str) else value[:20].decode(),
)
def test_a_body_that_cannot_be_stored(service: Service, account: str, content: bytes, message: str) -> None:
    before = service.log_digest()
    headers = {
        "Authorization": f"Bearer {TOKENS['command']}",
        "Idempotency-Key": "k",
        "Content-Type": "application/json",
    }
    response = service.http.post(f"/v1/accounts/{account}/deposits", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed"), response.text
    assert message in response.json()["detail"]
    assert service.log_digest() == before


def test_an_absurd_size(service: Service, account: str) -> None:
    before = service.log_digest()
    response = service.post(f"accounts/{account}/deposits", {"amount": "1" * 2_000_000, **EUR})
    assert (response.status_code, response.json()["figures"]) == (413, {"most": 1024 * 1024})
    assert service.log_digest() == before


@pytest.mark.parametrize("key", ["", "k" * 256, "caf\u00e9"])
def test_an_invalid_key(service: Service, account: str, key: str) -> None:
    token = f"Bearer {TOKENS['command']}".encode()
    headers = {b"Authorization": token, b"Idempotency-Key": key.encode("latin-1")}
    response = service.http.post(f"/v1/accounts/{account}/deposits", json={"amount": "1.00", **EUR}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "key_missing")


@pytest.mark.parametrize("tag", ["7", '"x"', "*", 'W/"7"', '"-1"'])
def test_an_invalid_if_match(service: Service, account: str, tag: str) -> None:
    response = service.post(f"accounts/{account}/deposits", {"amount": "1.00", **EUR}, If_Match=tag)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert "If-Match" in response.json()["detail"]


def test_an_empty_if_match(service: Service) -> None:
    """An empty If-Match is refused and not ignored: the client wanted to state a version."""
    path, body = f"accounts/{service.account()}/deposits", {"amount": "1.00", **EUR}
    response = service.post(path, body, If_Match="")
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    [item] = service.post("batches", [{"path": f"/v1/{path}", "key": "empty", "if_match": "", "body": body}]).json()
    assert (item["status"], item["body"]["code"]) == (400, "malformed")


def test_if_match_where_no_stream_is_named(service: Service, account: str) -> None:
    body = {"source": account, "target": service.account(), "amount": "1.00", **EUR}
    response = service.post("transfers", body, If_Match='"7"')
    assert response.status_code == 400
    assert "expected_versions" in response.json()["detail"]


def posted(service: Service, account: str, if_match: str, expected: dict[str, int], *, batch: bool) -> dict[str, Any]:
    """The answer to a deposit with If-Match and `expected_versions`, alone or in a batch."""
    path, body = f"accounts/{account}/deposits", {"amount": "1.00", **EUR, "expected_versions": expected}
    if not batch:
        problem: dict[str, Any] = service.post(path, body, If_Match=if_match).json()
        return problem
    item = {"path": f"/v1/{path}", "key": f"two-ways-{account}", "if_match": if_match, "body": body}
    [answer] = service.post("batches", [item]).json()
    answered: dict[str, Any] = answer["body"]
    return answered


@pytest.mark.parametrize("batch", [False, True], ids=["alone", "in a batch"])
def test_an_if_match_against_the_expected_versions(service: Service, batch: bool) -> None:
    account, other = service.account(), service.account()
    before = service.log_digest()
    for if_match, message in ((1, 2), (2, 1)):
        problem = posted(service, account, f'"{if_match}"', {account: message, other: 1}, batch=batch)
        assert (problem["status"], problem["code"]) == (400, "malformed"), problem
        assert f"If-Match names version {if_match} of {account}, expected_versions {message}" in problem["detail"]
        assert problem["figures"] == {"stream": account, "if_match": if_match, "expected": message}
    assert service.log_digest() == before
    assert posted(service, account, '"1"', {account: 1, other: 1}, batch=batch)["outcome"] == "accepted"


def test_the_digits_of_an_if_match_are_ascii(service: Service, account: str) -> None:
    problem = posted(service, account, '"\u0662"', {}, batch=True)
    assert (problem["status"], problem["code"]) == (400, "malformed"), problem
    assert "If-Match" in problem["detail"]


def test_an_unknown_account_is_not_recorded(service: Service, account: str) -> None:
    missing = new_id("acct")
    before = service.log_digest()
    for path, body in (
        (f"accounts/{missing}/deposits", {"amount": "1.00", **EUR}),
        ("transfers", {"source": account, "target": missing, "amount": "1.00", **EUR}),
    ):
        response = service.post(path, body)
        assert response.status_code == 404, response.text
        assert response.json()["figures"] == {"kind": "account", "id": missing}
    assert service.log_digest() == before


def refusals(account: str, other: str) -> list[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    """Path, body, the rule that refuses the command, and some of the figures."""
    entry = {"account": account, "side": "debit", "amount": "1.00", **EUR}
    return [
        (
            f"accounts/{account}/withdrawals",
            {"amount": "100.01", **EUR},
            "below_minimum",
            {"available": "100.00", "amount": "100.01", "remaining": "-0.01", "minimum": "0.00"},
        ),
        (f"accounts/{account}/deposits", {"amount": "1", "currency": "JPY"}, "currency_mismatch", {"currency": "JPY"}),
        ("transfers", {"source": account, "target": account, "amount": "1.00", **EUR}, "same_account", {}),
        (
            "transfers",
            {"source": account, "target": other, "amount": "1.00", **EUR, "value_date": "2999-01-01"},
            "value_date_in_future",
            {"value_date": "2999-01-01", "today": "2026-11-21"},
        ),
        ("transactions", {"entries": [entry]}, "entry_count", {"least": 2, "most": 1000, "count": 1}),
        ("transactions", {"entries": [entry, entry]}, "entries_unbalanced", {"currency": "EUR", "sum": "-2.00"}),
        (f"accounts/{account}/close", {"reason": "bye"}, "balance_not_zero", {"balance": "100.00"}),
        (f"accounts/{account}/unfreeze", {"reason": "?"}, "account_not_frozen", {}),
        (f"accounts/{account}/holds/hold_1/release", {}, "hold_unknown", {"hold": "hold_1"}),
        ("orders", {"customer": "c", "currency": "EUR", "lines": []}, "order_line_count", {"count": 0}),
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_refusal_quotes_its_figures_and_leaves_only_its_record(service: Service, account: str, number: int) -> None:
    other = service.account()
    path, body, rule, figures = refusals(account, other)[number]
    head = service.get("log", role="audit").json()["head"]
    response = service.post(path, body, key=f"refusal-{other}")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, rule), response.text
    assert figures.items() <= problem["figures"].items()
    for figure in figures.values():
        assert str(figure) in problem["detail"] or rule == "below_minimum"
    assert response.headers["Daybook-Position"] == service.get("log", role="audit").json()["head"] != head
    record = service.get(f"commands/refusal-{other}", role="command").json()
    assert (record["outcome"], record["status"]) == ("refused", 422)
    assert record["answer"]["figures"] == problem["figures"]


def test_a_refused_opening_stores_no_data_key(service: Service) -> None:
    """A data key is stored only for a person whose events are appended."""
    existing = service.account("1.00")
    new = {"type": "checking", **EUR, "name": "Ada Lovelace"}
    overdrawn = {"source": existing, "target": service.account(), "amount": "5.00", **EUR}
    stale = {"expected_versions": {existing: 99}}
    before = service.log_digest().events
    refused = [
        service.post("accounts", {**new, "owner": "new-1", "minimum": "5.00", "maximum": "1.00"}),
        service.post("accounts", {**new, "owner": "new-2", **stale}),
        service.post("accounts", {**new, "owner": "new-3", "colour": "red"}),
        service.post("accounts", {**new, "owner": "new-4", "type": "cash"}),
        service.http.post(
            "/v1/batches?atomic=true",
            json=[
                {"path": "/v1/accounts", "body": {**new, "owner": "new-5"}},
                {"path": "/v1/transfers", "body": overdrawn},
            ],
            headers={"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": f"new-{existing}"},
        ),
    ]
    assert [answer.json()["code"] for answer in refused] == [
        "limits_crossed", "versions_stale", "malformed", "forbidden", "item_refused"
    ]  # fmt: skip
    assert service.log_digest().events == before
    assert service.post("accounts", {**new, "owner": "new-1"}).status_code == 201
    assert service.log_digest().events != before


def test_an_amount_in_another_currency_is_refused_on_every_route(service: Service) -> None:
    account, other = service.account("100.00"), service.account()
    yen = {"amount": "40", "currency": "JPY"}
    hold = service.post(f"accounts/{account}/holds", {"amount": "50.00", **EUR}).json()["hold"]
    entries = [{"account": account, "side": "debit", **yen}, {"account": other, "side": "credit", **yen}]
    for path, body in (
        *((f"accounts/{account}/{route}", yen) for route in ("deposits", "withdrawals", "fees", "holds")),
        (f"accounts/{account}/holds/{hold}/capture", {**yen, "target": other}),
        ("transfers", {**yen, "source": account, "target": other}),
        ("transactions", {"entries": entries}),
    ):
        response = service.post(path, body)
        assert (response.status_code, response.json()["code"]) == (422, "currency_mismatch"), (path, response.text)
        wanted = {"account": account, "account_currency": "EUR", "currency": "JPY"}
        assert response.json()["figures"] == wanted, path
    read = service.get(f"accounts/{account}").json()
    assert (read["balance"], read["reserved"]) == ("100.00", "50.00")


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("accounts", {"limit": 0}),
        ("accounts", {"limit": 201}),
        ("accounts", {"limit": "many"}),
        ("accounts", {"cursor": "!"}),
        ("accounts", {"owner": "\u00e9"}),
        ("accounts", {"status": "opne"}),
        ("accounts", {"type": ""}),
        ("accounts", {"currency": "eur"}),
        ("accounts/acct_x/entries", {"side": "left"}),
        ("orders", {"status": "open"}),
        ("posts", {"status": "placed"}),
        ("transactions", {"kind": "gift"}),
        ("trial-balance", {"currency": "XXX"}),
        ("log", {"type": "account.opened"}),
        ("log", {"category": "account"}),
        ("log/follow", {"type": "post.drafted"}),
        ("transactions", {"value_from": "0"}),
        ("transactions", {"cursor": "ImEi"}),
        ("streams/acct_%00", {}),
        ("accounts/acct_x/balance", {"as_of": "1", "min_position": "9" * 201}),
    ],
)
def test_bad_parameters_of_reads(service: Service, path: str, params: dict[str, Any]) -> None:
    response = service.get(path, role="audit", **params)
    assert (response.status_code, response.json()["code"]) == (400, "malformed"), response.text


def test_a_value_outside_a_filter_is_refused_and_the_values_are_named(service: Service) -> None:
    problem = service.get("accounts", status="opne").json()
    assert problem["detail"] == "status: 'opne' is not one of open, frozen, closed."
    assert problem["figures"]["allowed"] == {"status": ["open", "frozen", "closed"]}


@pytest.mark.parametrize("path", ["accounts/acct_x", "accounts", "trial-balance", "health/live", "openapi.json"])
def test_a_balance_of_another_day_is_not_answered_with_that_of_today(service: Service, path: str) -> None:
    response = service.get(path, fresh=False, as_of="2020-01-01")
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert response.json()["figures"]["unknown"] == ["as_of"]


def test_a_command_takes_only_one_query_parameter(service: Service) -> None:
    account = service.account()
    before = service.log_digest()
    for path in (f"accounts/{account}/deposits?fields=1", "transfers?fields=1", "batches?fields=1"):
        problem = service.post(path, {"amount": "1.00", "currency": "EUR"}).json()
        assert (problem["code"], problem["figures"]["unknown"]) == ("malformed", ["fields"])
    assert service.log_digest() == before


@pytest.mark.parametrize("position", ["42", "main.1.x", "other.1.1", "main.99.1"])
def test_positions_of_another_log_or_epoch(service: Service, position: str) -> None:
    response = service.get("accounts", min_position=position)
    assert (response.status_code, response.json()["code"]) == (400, "position")


def test_neither_route_nor_method(service: Service) -> None:
    missing = service.get("nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_route")
    deleted = service.http.delete("/v1/accounts", headers={"Authorization": f"Bearer {TOKENS['operator']}"})
    assert (deleted.status_code, deleted.json()["code"]) == (405, "method")
    assert deleted.headers["Allow"]


ROUTES = [("POST", "transfers"), ("GET", "accounts"), ("GET", "streams/x"), ("GET", "log"), ("GET", "commands/none")]
ALLOWED = {
    "command": [True, True, False, False, True],
    "report": [False, True, False, False, False],
    "audit": [False, True, True, True, True],
    "operator": [True, True, True, True, True],
}


@pytest.mark.parametrize("role", ALLOWED)
def test_roles(service: Service, role: str) -> None:
    before = service.log_digest()
    answers = [service.post(p, {}, role=role) if m == "POST" else service.get(p, role=role) for m, p in ROUTES]
    assert [answer.status_code != 403 for answer in answers] == ALLOWED[role]
    assert service.log_digest() == before


def test_no_token(service: Service) -> None:
    for method, path in ROUTES:
        response = service.http.request(method, f"/v1/{path}")
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
