"""The routes of refusals: what was refused, to whom, by which rule and why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.service import Service

ONE = {"amount": "1.00", "currency": "EUR"}


def listed(service: Service, **filters: Any) -> list[dict[str, Any]]:
    response = service.get("refusals", **filters)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def test_a_refusal_says_what_its_answer_said(service: Service) -> None:
    account = service.account()
    refused = service.post(f"accounts/{account}/withdrawals", ONE, key=f"no-{account}")
    [item] = [one for one in listed(service, newest_first=True) if one["key"] == f"no-{account}"]
    assert (item["actor"], item["command"], item["rule"]) == ("the-command", "Withdraw", "below_minimum")
    assert item["figures"] == refused.json()["figures"]
    assert refused.headers["Daybook-Position"].rpartition(".")[2] == str(item["position"])
    assert service.get(f"refusals/{item['refusal']}").json() == item
    again = service.post(f"accounts/{account}/withdrawals", ONE, key=f"no-{account}")
    assert again.headers["Daybook-Position"] == refused.headers["Daybook-Position"], "a retry is no other refusal"
    assert len([one for one in listed(service) if one["key"] == f"no-{account}"]) == 1


def test_a_failed_expectation_and_an_atomic_batch_are_refusals(service: Service) -> None:
    account = service.account()
    path = f"accounts/{account}/deposits"
    stale = service.post(path, {**ONE, "expected_versions": {account: 9}}, key=f"stale-{account}")
    items = [
        {"path": f"/v1/{path}", "body": ONE},
        {"path": f"/v1/accounts/{account}/withdrawals", "body": {**ONE, "amount": "2.00"}},
    ]
    together = service.post("batches?atomic=true", items, key=f"both-{account}")
    found = {item["key"]: item for item in listed(service, newest_first=True, limit=200)}
    expected = found[f"stale-{account}"]
    assert (expected["rule"], expected["command"]) == ("expectation_failed", "Deposit")
    assert expected["figures"] == stale.json()["figures"] == {"expected": {account: 9}, "actual": {account: 1}}
    both = found[f"both-{account}"]
    assert (both["rule"], both["command"]) == ("item_refused", "Together")
    assert both["figures"] == together.json()["figures"]
    assert both["figures"]["item"] == 2


def test_what_is_not_recorded_is_no_refusal(service: Service) -> None:
    service.account()
    before = listed(service, limit=200)
    unknown = service.post("accounts/acct_01h455vb4pex5vsknk084sn02q/deposits", ONE)
    malformed = service.post("accounts", {"type": "checking"})
    forbidden = service.post("accounts", {"type": "cash", "currency": "EUR", "name": "Cash"})
    assert [answer.status_code for answer in (unknown, malformed, forbidden)] == [404, 400, 403]
    assert listed(service, limit=200) == before


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({"actor": "the-operator"}, ["of an operator"]),
        ({"command": "Withdraw"}, ["of a client", "of an operator"]),
        ({"command": "Deposit"}, ["stale"]),
        ({"rule": "below_minimum"}, ["of a client", "of an operator"]),
        ({"rule": "expectation_failed", "actor": "the-command"}, ["stale"]),
        ({"rule": "order_status"}, []),
        ({"recorded_from": "2020-01-01", "recorded_until": "9999-12-31"}, ["of a client", "of an operator", "stale"]),
        ({"recorded_until": "2020-01-01"}, []),
        ({"recorded_from": "9999-12-31"}, []),
    ],
    ids=str,
)
def test_filters(service: Service, filters: dict[str, str], matches: list[str]) -> None:
    account = service.account()
    withdrawals, deposits = f"accounts/{account}/withdrawals", f"accounts/{account}/deposits"
    keys = {
        f"of a client {account}": service.post(withdrawals, ONE, key=f"of a client {account}"),
        f"of an operator {account}": service.post(withdrawals, ONE, key=f"of an operator {account}", role="operator"),
        f"stale {account}": service.post(deposits, {**ONE, "expected_versions": {account: 9}}, key=f"stale {account}"),
    }
    assert {answer.status_code for answer in keys.values()} == {422, 409}
    found = {item["key"] for item in listed(service, newest_first=True, limit=200, **filters)}
    assert found & keys.keys() == {f"{match} {account}" for match in matches}


def test_pages_and_polling(service: Service) -> None:
    account = service.account()
    for number in range(5):
        service.post(f"accounts/{account}/withdrawals", ONE, key=f"{number}-{account}")
    start = service.get("refusals", limit=2).json()
    rest = service.get("refusals", limit=200, cursor=start["next"]).json()["items"]
    positions = [item["position"] for item in (*start["items"], *rest)]
    assert positions == sorted(set(positions))
    assert [item["key"] for item in rest[-5:]] == [f"{number}-{account}" for number in range(5)]
    assert listed(service, after=positions[-2]) == rest[-1:]


@pytest.mark.parametrize(
    "wrong", [{"rule": "no_such_rule"}, {"command": "Nothing"}, {"recorded_from": "yesterday"}], ids=str
)
def test_wrong_filters_are_refused(service: Service, wrong: dict[str, Any]) -> None:
    assert service.get("refusals", **wrong).status_code == 400


def test_an_unknown_refusal_is_not_found(service: Service) -> None:
    assert service.get("refusals/refusal_01h455vb4pex5vsknk084sn02q").status_code == 404


def test_command_clients_do_not_see_the_refusals_of_others(service: Service) -> None:
    assert service.get("refusals", role="command").status_code == 403
    for role in ("report", "audit", "operator"):
        assert service.get("refusals", role=role).status_code == 200
