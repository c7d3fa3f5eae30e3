"""Accounts and transactions over HTTP: written, folded and read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest

from api.queries.filters import MOST_PAIRS_ASKED, MOST_PAIRS_TEXT
from domain.accounts.numbers import is_account_number
from domain.accounts.posting import internal_account
from tests.support.answers import accepted, eur, found
from tests.support.ledger import TODAY
from tests.support.service import Service

MISSING = "acct_01h455vb4pex5vsknk084sn02q"


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


def test_a_name_and_metadata_are_changed_and_read(service: Service) -> None:
    body = {"type": "checking", "currency": "EUR", "owner": "owner-9", "name": "Ada", "metadata": {"branch": "b:12"}}
    opened = service.post("accounts", body)
    account = accepted(opened)["account"]
    assert opened.headers["ETag"] == '"2"'
    assert found(service.get(f"accounts/{account}"))["metadata"] == {"branch": "b:12"}
    accepted(service.post(f"accounts/{account}/details", {"name": "Ada King"}), 200)
    change = {"set": {"segment": "gold", "till": "4"}, "remove": ["branch"]}
    accepted(service.post(f"accounts/{account}/metadata", change), 200)
    read = found(service.get(f"accounts/{account}"))
    assert (read["name"], read["metadata"]) == ("Ada King", {"segment": "gold", "till": "4"})
    number = read["number"]
    for asked in ("till=4", "till=4,segment=gold", ",".join(["till=4"] * MOST_PAIRS_ASKED)):
        assert found(service.get("accounts", metadata=asked))["items"] == [read]
        assert found(service.get("accounts", metadata=asked, number=number))["items"] == [read]
    for none in ("branch=b:12", "till=5", "till=4,segment=silver"):
        assert found(service.get("accounts", metadata=none))["items"] == []
        assert found(service.get("accounts", metadata=none, number=number))["items"] == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("till", "pattern"),
        ("=4", "pattern"),
        ("till=", "pattern"),
        ("till=a b", "pattern"),
        ("till=4=5", "pattern"),
        ("till=4,", "pattern"),
        ("till=4,till=5", "the key 'till' is given with two values"),
        (",".join(f"k{n}=1" for n in range(MOST_PAIRS_ASKED + 1)), "pattern"),
        ("k" * (MOST_PAIRS_TEXT + 1), "at most 709 characters"),
    ],
)
def test_a_filter_of_metadata_is_pairs(service: Service, asked: str, says: str) -> None:
    response = service.get("accounts", metadata=asked)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert says in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("details", {"name": ""}, 400, "malformed"),
        ("details", {"name": "x" * 101}, 400, "malformed"),
        ("details", {}, 400, "malformed"),
        ("metadata", {"set": {"k": "two words"}}, 422, "not_a_code"),
        ("metadata", {"remove": ["two words"]}, 422, "not_a_code"),
        ("metadata", {"remove": ["none"]}, 422, "metadata_unknown"),
        ("metadata", {"set": {"k": 1}}, 400, "malformed"),
        ("metadata", {"set": {"k": {"a": "b"}}}, 400, "malformed"),
        ("metadata", {}, 422, "metadata_unchanged"),
        ("reopen", {"reason": "x"}, 422, "account_not_closed"),
        ("close", {"reason": "x", "sweep_to": "acct_x"}, 400, "malformed"),
        ("close", {"reason": "x", "sweep_to": MISSING}, 404, "unknown"),
        ("close", {"reason": "x"}, 422, "balance_not_zero"),
    ],
)
def test_bad_input_changes_nothing(service: Service, path: str, body: Any, status: int, code: str) -> None:
    account = service.account("1.00")
    before = found(service.get(f"accounts/{account}"))
    refused = service.post(f"accounts/{account}/{path}", body, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert found(service.get(f"accounts/{account}")) == before


def test_close_with_a_sweep_and_reopen(service: Service) -> None:
    account, to = service.account("100.00", minimum="100.00"), service.account()
    assert service.post(f"accounts/{account}/withdrawals", eur("1.00")).json()["code"] == "below_minimum"
    closed = accepted(service.post(f"accounts/{account}/close", {"reason": "asked for", "sweep_to": to}), 200)
    assert [closed["balances"][id]["balance"] for id in (account, to)] == ["0.00", "100.00"]
    transaction = found(service.get(f"transactions/{closed['transaction']}"))
    assert (transaction["kind"], transaction["value_date"]) == ("sweep", TODAY.isoformat())
    assert found(service.get("transactions", account=to, kind="sweep"))["items"] == [transaction]
    read = found(service.get(f"accounts/{account}"))
    assert (read["status"], read["reason"], read["balance"]) == ("closed", "asked for", "0.00")
    reason = {"reason": "a mistake"}
    assert service.post(f"accounts/{account}/reopen", reason).status_code == 403
    accepted(service.post(f"accounts/{account}/reopen", reason, role="operator"), 200)
    read = found(service.get(f"accounts/{account}"))
    assert (read["status"], read["reason"]) == ("open", None)
    accepted(service.post(f"accounts/{account}/deposits", eur("1.00")))


CLIENTS, ROUNDS = 20, 5


def test_nothing_is_left_on_an_account_that_is_swept_while_clients_deposit(service: Service) -> None:
    """Every deposit is swept or refused, whichever comes first. A second closing finds the account closed."""
    for _ in range(ROUNDS):
        account, to = service.account("10.00"), service.account()
        start = Barrier(CLIENTS + 2)

        def post(path: str, body: Any, account: str = account, start: Barrier = start) -> Any:
            start.wait()
            return service.post(f"accounts/{account}/{path}", body, key=uuid4().hex)

        with ThreadPoolExecutor(CLIENTS + 2) as pool:
            deposits = [pool.submit(post, "deposits", eur("1.00")) for _ in range(CLIENTS)]
            closings = [pool.submit(post, "close", {"reason": "r", "sweep_to": to}) for _ in range(2)]
            deposited = [one.result() for one in deposits]
            closed = [one.result() for one in closings]
        taken = [one for one in deposited if one.status_code == 201]
        assert {one.json()["code"] for one in deposited if one not in taken} <= {"account_closed"}
        assert sorted(one.status_code for one in closed) == [200, 422]
        left, swept = (found(service.get(f"accounts/{id}")) for id in (account, to))
        assert (left["status"], left["balance"]) == ("closed", "0.00")
        assert swept["balance"] == f"{10 + len(taken)}.00"


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
