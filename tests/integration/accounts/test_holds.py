"""Holds over HTTP: captured in parts, listed, and raced for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.people.test_races_over_http import at_once
from tests.support.answers import accepted, eur, found
from tests.support.ledger import NOW
from tests.support.service import Service

CLIENTS, PARTS = 20, 10


def hold_on(service: Service, account: str, amount: str, **more: Any) -> str:
    id: str = accepted(service.post(f"accounts/{account}/holds", eur(amount, **more)))["hold"]
    return id


def test_a_hold_is_captured_in_parts_and_the_rest_is_released(service: Service) -> None:
    account, shop = service.account("100.00"), service.account()
    hold = hold_on(service, account, "40.00", reference="till/4", metadata={"till": "4"})
    opened = found(service.get(f"holds/{hold}"))
    wanted = {"account": account, "amount": "40.00", "captured": "0.00", "remaining": "40.00", "status": "open"}
    assert wanted.items() <= opened.items()
    more = {"reference": "till/4", "metadata": {"till": "4"}, "transaction": None, "ended_at": None, "expires_at": None}
    assert more.items() <= opened.items()

    capture = f"accounts/{account}/holds/{hold}/capture"
    first = accepted(service.post(capture, eur("15.00", target=shop, keep_rest=True)))
    assert (first["hold"], first["remaining"]) == (hold, "25.00")
    assert first["balances"][account] == {"balance": "85.00", "available": "60.00", "currency": "EUR"}
    second = accepted(service.post(capture, eur("5.00", target=shop, keep_rest=True)))
    too_much = service.post(capture, eur("20.01", target=shop, keep_rest=True))
    assert (too_much.status_code, too_much.json()["code"]) == (422, "hold_exceeded")
    assert found(service.get(f"accounts/{account}"))["reserved"] == "20.00"
    held = {"captured": "20.00", "remaining": "20.00", "status": "open", "transaction": second["transaction"]}
    assert held.items() <= found(service.get(f"holds/{hold}")).items()

    accepted(service.post(f"accounts/{account}/holds/{hold}/release"), 200)
    ended = {"captured": "20.00", "remaining": "0.00", "status": "released", "transaction": second["transaction"]}
    assert ended.items() <= found(service.get(f"holds/{hold}")).items()
    assert found(service.get(f"holds/{hold}"))["ended_at"] is not None
    left = found(service.get(f"accounts/{account}"))
    assert (left["balance"], left["reserved"]) == ("80.00", "0.00")


def test_a_capture_that_keeps_no_rest_says_what_was_taken(service: Service) -> None:
    account, shop = service.account("100.00"), service.account()
    hold = hold_on(service, account, "40.00")
    capture = f"accounts/{account}/holds/{hold}/capture"
    accepted(service.post(capture, eur("15.00", target=shop, keep_rest=True)))
    assert accepted(service.post(capture, eur("10.00", target=shop)))["remaining"] == "0.00"
    ended = {"amount": "40.00", "captured": "25.00", "remaining": "0.00", "status": "captured"}
    assert ended.items() <= found(service.get(f"holds/{hold}")).items()
    assert found(service.get(f"accounts/{account}"))["reserved"] == "0.00"


def test_holds_are_listed_by_account_status_and_reference(service: Service) -> None:
    account, other = service.account("100.00"), service.account("100.00")
    ids = [hold_on(service, account, "1.00", reference=f"order/{n % 2}-{account}") for n in range(4)]
    hold_on(service, other, "1.00", reference="order/9")
    accepted(service.post(f"accounts/{account}/holds/{ids[0]}/release"), 200)

    def listed(**filters: Any) -> list[str]:
        return [one["hold"] for one in found(service.get("holds", **filters))["items"]]

    assert listed(account=account) == ids
    assert listed(account=account, status="open") == ids[1:]
    assert listed(account=account, status="released") == ids[:1]
    assert listed(reference=f"order/0-{account}") == ids[::2]
    page = found(service.get("holds", account=account, limit=3))
    assert [one["hold"] for one in page["items"]] == ids[:3]
    assert listed(account=account, cursor=page["next"]) == ids[3:]
    assert listed(account=account, after=page["items"][2]["position"]) == ids[3:]
    assert listed(account="acct_x") == []
    missing = service.get("holds/hold_x")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown")
    assert found(service.get(f"holds/{ids[1]}", account=account))["hold"] == ids[1]
    assert service.get(f"holds/{ids[1]}", account=other).status_code == 404


@pytest.mark.parametrize("keep_rest", [None, "true", 1])
def test_keep_rest_is_yes_or_no(service: Service, keep_rest: Any) -> None:
    account, shop = service.account("100.00"), service.account()
    hold = hold_on(service, account, "40.00")
    before = service.log_digest()
    body = eur("1.00", target=shop, keep_rest=keep_rest)
    answer = service.post(f"accounts/{account}/holds/{hold}/capture", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert service.log_digest() == before


def test_of_twenty_who_capture_a_tenth_ten_get_it(service: Service) -> None:
    account, shop = service.account("500.00"), service.account()
    hold = hold_on(service, account, "100.00")
    body = eur("10.00", target=shop, keep_rest=True)
    answers = at_once(CLIENTS, lambda _: service.post(f"accounts/{account}/holds/{hold}/capture", body))
    assert sorted(answer.status_code for answer in answers) == [201] * PARTS + [422] * (CLIENTS - PARTS)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"hold_unknown"}
    rests = sorted(int(answer.json()["remaining"][:-3]) for answer in answers if answer.status_code == 201)
    assert rests == list(range(0, 100, 10))
    last = max(int(answer.json()["position"].rpartition(".")[2]) for answer in answers if answer.status_code == 201)
    token = next(
        answer.json()["position"]
        for answer in answers
        if answer.status_code == 201 and int(answer.json()["position"].rpartition(".")[2]) == last
    )
    ended = found(service.get(f"holds/{hold}", min_position=token))
    assert (ended["status"], ended["captured"], ended["remaining"]) == ("captured", "100.00", "0.00")
    paid, got = (found(service.get(f"accounts/{id}", min_position=token)) for id in (account, shop))
    assert (paid["balance"], paid["reserved"], got["balance"]) == ("400.00", "0.00", "100.00")


def test_a_capture_that_is_sent_again_takes_once(service: Service) -> None:
    account, shop = service.account("100.00"), service.account()
    hold = hold_on(service, account, "40.00")
    body = eur("10.00", target=shop, keep_rest=True)
    path = f"accounts/{account}/holds/{hold}/capture"
    first = service.post(path, body, key=f"again-{hold}")
    assert service.post(path, body, key=f"again-{hold}").content == first.content
    assert found(service.get(f"holds/{hold}"))["captured"] == "10.00"
    other = service.post(path, {**body, "keep_rest": False}, key=f"again-{hold}")
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")


def test_a_hold_that_expires_says_so(service: Service) -> None:
    account = service.account("100.00")
    expires_at = NOW.replace(year=NOW.year + 1).isoformat()
    hold = hold_on(service, account, "40.00", expires_at=expires_at)
    assert found(service.get(f"holds/{hold}"))["expires_at"] is not None
