"""Accounts and transactions over HTTP: written, folded and read."""

from __future__ import annotations

from typing import Any

from domain.accounts.numbers import is_account_number
from domain.accounts.posting import internal_account
from tests.support.answers import accepted, eur, found
from tests.support.ledger import TODAY
from tests.support.service import Service


def test_open_and_read_an_account(service: Service) -> None:
    body = {"type": "savings", "currency": "JPY", "owner": "owner-7", "name": "Grace", "minimum": None, "maximum": "9"}
    response = service.post("accounts", body)
    opened = accepted(response)
    assert response.headers["ETag"] == '"1"'
    read = service.get(f"accounts/{opened['account']}")
    account = found(read)
    assert read.headers["ETag"] == '"1"'
    assert is_account_number(account["number"])
    wanted = {"owner": "owner-7", "name": "Grace", "minimum": None, "maximum": "9", "opened_on": TODAY.isoformat()}
    assert wanted.items() <= account.items()
    for filters in ({"owner": "owner-7"}, {"type": "savings", "currency": "JPY"}, {"number": account["number"]}):
        assert found(service.get("accounts", **filters))["items"] == [account]
    assert found(service.get("accounts", number=account["number"], owner="somebody-else"))["items"] == []


def test_money_in_out_and_across(service: Service) -> None:
    a, b = service.account("100.00"), service.account()
    paid_out = accepted(service.post(f"accounts/{a}/withdrawals", eur("10.00")))
    assert paid_out["balances"][a] == {"balance": "90.00", "available": "90.00", "currency": "EUR"}
    accepted(service.post(f"accounts/{a}/fees", eur("1.50")))
    moved = accepted(service.post("transfers", eur("30.25", source=a, target=b, reference="inv-1", description="Rent")))
    assert {a: 4, b: 2}.items() <= {s: v - (s == a) for s, v in moved["versions"].items()}.items()
    entries = [
        {"account": a, "side": "debit", **eur("8.00")},
        {"account": b, "side": "credit", **eur("8.00")},
    ]
    journal = accepted(service.post("transactions", {"entries": entries, "reference": "inv-2"}))

    account = found(service.get(f"accounts/{a}"))
    assert (account["balance"], account["entries"]) == ("50.25", 5)
    listed = found(service.get(f"accounts/{a}/entries"))["items"]
    assert [entry["balance_after"] for entry in listed] == ["100.00", "90.00", "88.50", "58.25", "50.25"]
    assert found(service.get(f"accounts/{a}/entries", side="credit"))["items"] == listed[:1]
    assert found(service.get(f"accounts/{a}/entries", newest_first=True))["items"] == listed[::-1]

    transaction = found(service.get(f"transactions/{moved['transaction']}"))
    assert (transaction["kind"], transaction["description"]) == ("transfer", "Rent")
    of_b = found(service.get("transactions", account=b))["items"]
    assert [each["transaction"] for each in of_b] == [moved["transaction"], journal["transaction"]]
    assert found(service.get("transactions", account=b, kind="journal"))["items"] == of_b[1:]
    assert found(service.get("transactions", reference="inv-1"))["items"] == of_b[:1]

    today = TODAY.isoformat()
    between: dict[str, Any] = {"from": today, "to": today}
    days = found(service.get(f"accounts/{a}/movements", **between))["items"]
    day = {"day": today, "opening": "0.00", "debits": "49.75", "credits": "100.00", "closing": "50.25", "entries": 5}
    assert [day.items() <= each.items() for each in days] == [True]
    assert found(service.get(f"accounts/{a}/movements", to="2020-01-01"))["items"] == []


def test_the_trial_balance_balances(service: Service) -> None:
    service.account("5.00")
    balance = found(service.get("trial-balance", currency="EUR"))
    assert balance["balanced"]
    assert [total["debits"] == total["credits"] != "0.00" for total in balance["totals"]] == [True]


def test_freeze_unfreeze_close(service: Service) -> None:
    account = service.account()
    because = {"reason": "asked for"}
    for verb, status, version in (("freeze", "frozen", 2), ("unfreeze", "open", 3), ("close", "closed", 4)):
        response = service.post(f"accounts/{account}/{verb}", because)
        accepted(response, 200)
        assert response.headers["ETag"] == f'"{version}"'
        assert found(service.get(f"accounts/{account}"))["status"] == status
    assert account in [each["account"] for each in found(service.get("accounts", status="closed"))["items"]]


def test_holds(service: Service) -> None:
    account, shop = service.account("100.00"), service.account()
    first = accepted(service.post(f"accounts/{account}/holds", eur("40.00")))["hold"]
    second = accepted(service.post(f"accounts/{account}/holds", eur("10.00")))["hold"]
    assert found(service.get(f"accounts/{account}"))["available"] == "50.00"
    accepted(service.post(f"accounts/{account}/holds/{first}/capture", eur("25.00", target=shop)))
    accepted(service.post(f"accounts/{account}/holds/{second}/release"), 200)
    read = found(service.get(f"accounts/{account}"))
    assert (read["balance"], read["reserved"]) == ("75.00", "0.00")
    assert found(service.get(f"accounts/{shop}"))["balance"] == "25.00"


def test_an_account_just_opened_has_an_empty_list_of_entries(service: Service) -> None:
    account = service.account()
    assert found(service.get(f"accounts/{account}/entries")) == {"items": [], "next": None}
    assert found(service.get(f"accounts/{account}/movements")) == {"items": [], "next": None}


def test_internal_accounts_are_an_operators(service: Service) -> None:
    body = {"type": "interest", "currency": "EUR", "name": "Interest"}
    refused = service.post("accounts", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    opened = accepted(service.post("accounts", body, role="operator"))
    assert opened["account"] == internal_account("main", "interest", "EUR")
    assert found(service.get(f"accounts/{opened['account']}"))["minimum"] is None
