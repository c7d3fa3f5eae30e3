"""What users of Blnk, Midaz, Formance, Fineract and ERPNext reported, tried here. Each test names its report.

The numbers are of issues and pull requests of these projects on GitHub. At the end `verify` finds each log sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from domain.accounts.posting import internal_account
from domain.accounts.transaction import ExpirePending
from domain.money import MAX_AMOUNT, parse, show
from tests.integration.api.test_batches import batch, item
from tests.samples.accounts.periods import operators
from tests.support.answers import accepted, eur, found
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW, TODAY, fold
from tests.support.memory_ledger import APPROVER_TOKEN, By
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on
from tests.tampering.books import verified
from workers.composition import manager_principal

CLIENTS = 20
WHY = {"reason": "as others reported"}
LAST_DAY_CLOSED = date(2026, 10, 31)
Figures = list[tuple[str, str]]


@pytest.fixture(scope="module")
def running(postgres18: Server) -> Iterator[Service]:
    yield from sound_service(postgres18)


@pytest.fixture
def bank(running: Service) -> Service:
    """The service, at the same time in each test."""
    clock_of(running).now = NOW
    return running


@pytest.fixture
def own_bank(postgres18: Server) -> Iterator[Service]:
    """A service for one test, because what it does is for the whole log."""
    yield from sound_service(postgres18)


def sound_service(server: Server) -> Iterator[Service]:
    with server.database() as database:
        with service_on(database, clock=MovedClock(NOW)) as service:
            yield service
        fold(database)
        report = verified(database)
        assert report.ok, [str(finding) for check in report.checks for finding in check.findings]


def clock_of(bank: Service) -> MovedClock:
    clock = bank.services.clock
    assert isinstance(clock, MovedClock)
    return clock


def figures(bank: Service, *accounts: str) -> Figures:
    """Balance and available amount of each account."""
    read = [found(bank.get(f"accounts/{account}")) for account in accounts]
    return [(one["balance"], one["available"]) for one in read]


def refused(response: Any, code: str) -> dict[str, Any]:
    assert response.status_code == 422, response.text
    problem: dict[str, Any] = response.json()
    assert problem["code"] == code, problem
    return problem


def at_once(commands: Sequence[Callable[[], Any]]) -> Counter[str]:
    """How often each answer came to commands that clients send at the same time: accepted, or a code of a refusal."""
    together = Barrier(len(commands))

    def send(command: Callable[[], Any]) -> Any:
        together.wait()
        return command()

    with ThreadPoolExecutor(len(commands)) as clients:
        answers = list(clients.map(send, commands))
    return Counter("accepted" if one.status_code < 300 else one.json()["code"] for one in answers)


def caught_up(bank: Service) -> None:
    """Let the next reads wait for everything: answers to commands at once come in any order."""
    bank.account()


def transfer(bank: Service, source: str, target: str, amount: str, **more: Any) -> Any:
    return bank.post("transfers", eur(amount, source=source, target=target, **more))


def withdraw(bank: Service, account: str, amount: str) -> Any:
    return bank.post(f"accounts/{account}/withdrawals", eur(amount))


def pend(bank: Service, source: str, target: str, amount: str, **more: Any) -> Any:
    return bank.post("transfers/pending", eur(amount, source=source, target=target, **more), role="operator")


def pended(bank: Service, source: str, target: str, amount: str, **more: Any) -> str:
    id: str = accepted(pend(bank, source, target, amount, **more))["transaction"]
    return id


def overdraft(bank: Service, account: str, amount: str, **more: Any) -> None:
    bank.do(f"accounts/{account}/limits", {"currency": "EUR", "minimum": "0", "overdraft": amount, **WHY, **more})


# Pending transactions


def _rejected(bank: Service, id: str) -> None:
    accepted(bank.post(f"transactions/{id}/reject", WHY, token=APPROVER_TOKEN), 200)


def _cancelled(bank: Service, id: str) -> None:
    accepted(bank.post(f"transactions/{id}/cancel", {}), 200)


def _expired(bank: Service, id: str) -> None:
    clock_of(bank).move(hours=1)
    bank.executed(By(manager_principal("pending_expiry"), ExpirePending(id)))


@pytest.mark.parametrize("end", [_rejected, _cancelled, _expired])
def test_a_pending_transaction_that_has_ended_moves_no_money(
    bank: Service, end: Callable[[Service, str], None]
) -> None:
    """Blnk, issue 182: an inflight transaction that was rejected could be committed, and overdrew the balance."""
    source, target = bank.account("10.00"), bank.account()
    until = (NOW + timedelta(hours=1)).isoformat()
    awaits = "approval" if end is _rejected else "request"
    id = pended(bank, source, target, "10.00", expires_at=until, awaits=awaits)
    end(bank, id)
    accepted(withdraw(bank, source, "10.00"))
    for path, body, token in (
        ("post", {}, None),
        ("post", {"value_date": TODAY.isoformat()}, None),
        ("approve", {}, APPROVER_TOKEN),
        ("reject", WHY, APPROVER_TOKEN),
        ("cancel", {}, None),
    ):
        refused(bank.post(f"transactions/{id}/{path}", body, token=token), "transaction_not_pending")
    refused(bank.post(f"transactions/{id}/reverse", WHY), "transaction_not_posted")
    assert figures(bank, source, target) == [("0.00", "0.00"), ("0.00", "0.00")]


def test_a_refused_pending_transaction_leaves_nothing_to_commit(bank: Service) -> None:
    """Blnk, issue 182: the transaction that lacked the money had two ids, and the other one could be committed."""
    source, target = bank.account("10.00"), bank.account()
    refused(pend(bank, source, target, "10.01"), "below_minimum")
    assert found(bank.get("transactions", account=source, status="pending"))["items"] == []
    assert figures(bank, source, target) == [("10.00", "10.00"), ("0.00", "0.00")]


def test_pending_transactions_and_holds_together_never_promise_more_than_there_is(bank: Service) -> None:
    """Blnk, issue 181: six inflight transactions of 1000 were accepted on a balance of 5000."""
    source, target = bank.account("5000.00"), bank.account()
    overdraft(bank, source, "1000.00")
    ways: list[Callable[[], Any]] = [
        partial(pend, bank, source, target, "1000.00"),
        partial(bank.post, f"accounts/{source}/holds", eur("1000.00")),
        partial(withdraw, bank, source, "1000.00"),
        partial(transfer, bank, source, target, "1000.00"),
    ]
    assert at_once(ways * 5) == {"accepted": 6, "below_minimum": 14}
    caught_up(bank)
    [(balance, available), _] = figures(bank, source, target)
    assert available == "-1000.00"
    waiting = found(bank.get("transactions", account=source, status="pending"))["items"]
    promised = sum(1 for one in found(bank.get("holds", account=source, status="open"))["items"] if one["transaction"])
    assert len(waiting) == promised
    for one in waiting:
        accepted(bank.post(f"transactions/{one['transaction']}/post", {}), 200)
    held = parse(found(bank.get(f"accounts/{source}"))["reserved"], "EUR")
    [(balance, available), _] = figures(bank, source, target)
    assert parse(balance, "EUR") - held == parse(available, "EUR") == -100_000


def test_one_pending_transaction_is_posted_once(bank: Service) -> None:
    """Midaz, issue 1519: two commits of a pending transaction at the same time were both carried out."""
    source, target = bank.account("100.00"), bank.account()
    id = pended(bank, source, target, "30.00")
    post = partial(bank.post, f"transactions/{id}/post", {})
    assert at_once([post] * CLIENTS) == {"accepted": 1, "transaction_not_pending": CLIENTS - 1}
    caught_up(bank)
    assert figures(bank, source, target) == [("70.00", "70.00"), ("30.00", "30.00")]
    assert len(found(bank.get(f"accounts/{target}/entries"))["items"]) == 1


def test_one_pending_transaction_is_posted_once_within_a_batch(bank: Service) -> None:
    """Midaz, issue 1519: here both commits are of one batch, whose items are decided together."""
    source, target = bank.account("100.00"), bank.account()
    id = pended(bank, source, target, "30.00")
    answers = batch(bank, [item(f"transactions/{id}/post", {}) for _ in range(3)])
    assert [one["status"] for one in answers] == [200, 422, 422]
    assert figures(bank, source, target) == [("70.00", "70.00"), ("30.00", "30.00")]


def test_a_transaction_that_was_pending_is_reversed_like_any_other(bank: Service) -> None:
    """Midaz, issue 1265: reverting a pending outflow after its commit failed with status 500, and moved nothing.

    Also the day's allowance that it used comes back.
    """
    source, target = bank.account("100.00"), bank.account("100.00")
    bank.do(f"accounts/{source}/limits", {"currency": "EUR", "minimum": "0", "daily": "30.00", **WHY})
    id = pended(bank, source, target, "30.00", reference="rent", metadata={"flat": "3"})
    accepted(bank.post(f"transactions/{id}/post", {}), 200)
    refused(transfer(bank, source, target, "0.01"), "outgoing_limit")
    part = accepted(bank.post(f"transactions/{id}/reverse", eur("10.00", **WHY)))
    assert (part["status"], part["left"]) == ("partly_reversed", {"1": "20.00", "2": "20.00"})
    whole = accepted(bank.post(f"transactions/{id}/reverse", WHY))
    assert whole["status"] == "reversed"
    read = found(bank.get(f"transactions/{id}"))
    assert (read["status"], read["reversed"]) == ("reversed", ["30.00", "30.00"])
    assert figures(bank, source, target) == [("100.00", "100.00"), ("100.00", "100.00")]
    accepted(transfer(bank, source, target, "30.00"))


@pytest.mark.parametrize("end", [_rejected, _cancelled, _expired])
def test_a_pending_transaction_that_used_the_overdraft_gives_it_back(
    bank: Service, end: Callable[[Service, str], None]
) -> None:
    """Midaz, pull request 2317: the cancellation of one gave the hold back, and left the overdraft as used.

    Pull request 2437 found the like at the account that gets the money, if it owes something.
    """
    source, target = bank.account("10.00"), bank.account()
    for account in (source, target):
        overdraft(bank, account, "50.00")
    accepted(withdraw(bank, target, "40.00"))
    before = figures(bank, source, target)
    until = (NOW + timedelta(hours=1)).isoformat()
    awaits = "approval" if end is _rejected else "request"
    id = pended(bank, source, target, "60.00", expires_at=until, awaits=awaits)
    assert figures(bank, source, target) == [("10.00", "-50.00"), ("-40.00", "-40.00")]
    refused(withdraw(bank, source, "0.01"), "below_minimum")
    end(bank, id)
    assert figures(bank, source, target) == before == [("10.00", "10.00"), ("-40.00", "-40.00")]
    accepted(withdraw(bank, source, "60.00"))
    refused(withdraw(bank, source, "0.01"), "below_minimum")


# Reversals and refunds


def test_a_refund_that_is_asked_for_again_moves_nothing(bank: Service) -> None:
    """Blnk, issue 374: a second refund was answered with a conflict, and meanwhile refunded the refund."""
    source, target = bank.account("500.00"), bank.account()
    id = accepted(transfer(bank, source, target, "1.00"))["transaction"]
    refund = partial(bank.post, f"transactions/{id}/refund", eur("1.00", **WHY))
    first = accepted(refund())["transaction"]
    before = bank.log_digest()
    for _ in range(2):
        refused(refund(), "transaction_not_posted")
        for way in ("reverse", "chargeback"):
            refused(bank.post(f"transactions/{id}/{way}", WHY), "transaction_not_posted")
            refused(bank.post(f"transactions/{first}/{way}", WHY), "reversal_of_reversal")
        refused(bank.post(f"transactions/{first}/refund", eur("1.00", **WHY)), "reversal_of_reversal")
    assert bank.log_digest().events == before.events
    assert figures(bank, source, target) == [("500.00", "500.00"), ("0.00", "0.00")]


def test_refunds_of_one_batch_give_back_no_more_than_was_paid(bank: Service) -> None:
    """Blnk, issue 152: each request refunded the same transaction again."""
    source, target = bank.account("10.00"), bank.account("100.00")
    id = accepted(transfer(bank, source, target, "10.00"))["transaction"]
    refunds = [item(f"transactions/{id}/refund", eur("4.00", fee_rate="0.5", **WHY)) for _ in range(3)]
    assert [one["status"] for one in batch(bank, refunds)] == [201, 201, 422]
    assert figures(bank, source, target) == [("4.00", "4.00"), ("102.00", "102.00")]


# Overdrawn accounts


def test_an_account_below_its_floor_takes_money(bank: Service) -> None:
    """Fineract, pull request 3433 (FINERACT-1931): nothing could be paid into an account that was overdrawn.

    Here it is further below than it may be, because its overdraft has ended.
    """
    account, other = bank.account("10.00"), bank.account("100.00")
    overdraft(bank, account, "50.00", overdraft_until=TODAY.isoformat())
    paid = accepted(transfer(bank, account, other, "60.00"))["transaction"]
    clock_of(bank).move(days=1)
    refused(withdraw(bank, account, "0.01"), "below_minimum")
    accepted(bank.post(f"accounts/{account}/deposits", eur("0.01")))
    accepted(transfer(bank, other, account, "0.99"))
    accepted(bank.post(f"transactions/{paid}/reverse", eur("9.00", **WHY)))
    assert figures(bank, account) == [("-40.00", "-40.00")]
    refused(withdraw(bank, account, "0.01"), "below_minimum")


# Days


def test_a_backdated_entry_changes_the_balances_of_all_later_days(bank: Service) -> None:
    """Fineract, pull request 2473 (FINERACT-1646): after a backdated transaction the balances of later ones were wrong.

    Also a reversal at the original date does so.
    """
    account = bank.account(opened_on="2026-01-01")

    def move(way: str, amount: str, day: int) -> str:
        body = eur(amount, value_date=f"2026-11-{day:02d}")
        id: str = accepted(bank.post(f"accounts/{account}/{way}", body))["transaction"]
        return id

    def days() -> list[tuple[str, str, str]]:
        listed = found(bank.get(f"accounts/{account}/movements"))["items"]
        return [(one["day"][-2:], one["opening"], one["closing"]) for one in listed]

    move("deposits", "100.00", 10)
    move("withdrawals", "30.00", 20)
    backdated = move("deposits", "7.00", 5)
    between = move("withdrawals", "1.00", 15)
    expected = [("05", "0.00", "7.00"), ("10", "7.00", "107.00"), ("15", "107.00", "106.00"), ("20", "106.00", "76.00")]
    assert days() == expected
    of_days: dict[str, Any] = {"from": "2026-11-11", "to": "2026-11-19"}
    page = found(bank.get(f"accounts/{account}/movements", **of_days))["items"]
    assert [(one["opening"], one["closing"]) for one in page] == [("107.00", "106.00")]
    for id in (backdated, between):
        accepted(bank.post(f"transactions/{id}/reverse", {"value_date": "original", **WHY}))
    assert days() == [
        ("05", "0.00", "0.00"),
        ("10", "0.00", "100.00"),
        ("15", "100.00", "100.00"),
        ("20", "100.00", "70.00"),
    ]
    assert figures(bank, account) == [("70.00", "70.00")]


def closed_october(bank: Service) -> str:
    days = {"begins_on": "2026-10-01", "ends_on": LAST_DAY_CLOSED.isoformat()}
    id: str = accepted(bank.post("periods", {"name": "october", **days}, role="operator"))["period"]
    return id


def test_nothing_of_a_closed_period_is_undone_in_it_until_it_is_open_again(own_bank: Service) -> None:
    """ERPNext, pull request 22985: what was posted in a closed period could be cancelled there.

    Issue 41819: after the year was open again, what belonged to it was refused still. Here also what waits for a
    request or for a second person when the period is closed can be posted, with an open day.
    """
    bank, day = own_bank, LAST_DAY_CLOSED.isoformat()
    source, target = (bank.account(opened_on="2026-01-01") for _ in range(2))
    accepted(bank.post(f"accounts/{source}/deposits", eur("100.00", value_date=day)))
    paid = [accepted(transfer(bank, source, target, "10.00", value_date=day))["transaction"] for _ in range(4)]
    waits = [pended(bank, source, target, "10.00", value_date=day) for _ in range(2)]
    approvals = [pended(bank, source, target, "1.00", value_date=day, awaits="approval") for _ in range(2)]
    period = closed_october(bank)
    for value_date in ("original", day):
        for way, more in (("reverse", {}), ("refund", eur("10.00")), ("chargeback", {})):
            body = {"value_date": value_date, **WHY, **more}
            refused(bank.post(f"transactions/{paid[0]}/{way}", body), "period_closed")
    refused(bank.post(f"transactions/{waits[0]}/post", {}), "period_closed")
    accepted(bank.post(f"transactions/{waits[0]}/post", {"value_date": TODAY.isoformat()}), 200)
    approve = [partial(bank.post, f"transactions/{id}/approve", token=APPROVER_TOKEN) for id in approvals]
    for body in ({}, {"value_date": day}):
        refused(approve[0](body), "period_closed")
    accepted(approve[0]({"value_date": TODAY.isoformat()}), 200)
    today = accepted(bank.post(f"transactions/{paid[1]}/reverse", WHY))["transaction"]
    assert found(bank.get(f"transactions/{today}"))["value_date"] == TODAY.isoformat()

    ada, bob = operators(bank)
    approval = accepted(ada.post(f"periods/{period}/reopenings", WHY))["approval"]
    accepted(bob.post(f"periods/reopenings/{approval}/approve", {}), 200)
    accepted(bank.post(f"transactions/{paid[0]}/reverse", {"value_date": "original", **WHY}))
    accepted(bank.post(f"transactions/{waits[1]}/post", {}), 200)
    accepted(approve[1]({}), 200)
    days = {one["day"]: one["closing"] for one in found(bank.get(f"accounts/{target}/movements"))["items"]}
    assert days == {day: "41.00", TODAY.isoformat(): "42.00"}


# Rounding, large amounts, and what is read


@pytest.mark.parametrize(
    ("currency", "amount", "gets"),
    [("EUR", "100.01", ["33.34", "33.34", "33.33"]), ("JPY", "100", ["34", "33", "33"]), ("KWD", "0.001", ["0.001"])],
)
def test_a_salary_that_does_not_divide_is_posted_to_the_last_unit(
    bank: Service, currency: str, amount: str, gets: list[str]
) -> None:
    """ERPNext, issue 9300: the rounded parts of a payroll differed from its total by 0.01, and it was refused."""
    name = f"thirds-{currency.lower()}"
    employees = ["one", "two", "three"]
    body = {
        "name": name,
        "kind": "payment",
        "parameters": [{"name": each, "type": "account"} for each in ("payer", *employees)]
        + [{"name": "currency", "type": "currency"}, {"name": "total", "type": "amount", "currency": "currency"}],
        "amounts": [
            {
                "name": "shares",
                "kind": "split",
                "of": "total",
                "parts": [{"name": f"of_{each}", "weight": 1} for each in employees],
            }
        ],
        "entries": [{"side": "debit", "parameter": "payer", "amount": "total"}]
        + [{"side": "credit", "parameter": each, "amount": f"of_{each}"} for each in employees],
    }
    accepted(bank.post("templates", body, role="operator"))
    accounts = {each: bank.account(currency=currency, minimum=None) for each in ("payer", *employees)}
    parameters = {**accounts, "currency": currency, "total": amount}
    posted = accepted(bank.post(f"templates/{name}/transactions", {"parameters": parameters}))
    assert [one["amount"] for one in posted["entries"]] == [amount, *gets]
    assert sum(parse(one, currency) for one in gets) == parse(amount, currency)
    too_fine = {**parameters, "total": amount + ("0" if "." in amount else ".0")}
    refused(bank.post(f"templates/{name}/transactions", {"parameters": too_fine}), "parameter_type")


def test_sums_past_64_bits_are_exact_in_every_report(own_bank: Service) -> None:
    """Formance, pull request 2038: an aggregate of large volumes wrapped around, and looked plausible.

    The sums here are past what 64 bits hold, and each ends in a hundredth.
    """
    bank = own_bank
    largest, entries = show(MAX_AMOUNT, "EUR"), 1_000
    one, two = (bank.account(minimum=None) for _ in range(2))
    sides = [("debit", one), ("credit", two)] * (entries // 2)
    lines = [eur(largest, account=account, side=side) for side, account in sides]
    times = 20
    for _ in range(times):
        accepted(bank.post("transactions", {"entries": lines}))
    whole = MAX_AMOUNT * entries // 2 * times
    assert whole > 2**63
    assert figures(bank, one, two) == [(show(-whole, "EUR"),) * 2, (show(whole, "EUR"),) * 2]
    [day] = found(bank.get(f"accounts/{two}/movements"))["items"]
    assert (day["credits"], day["closing"]) == (show(whole, "EUR"),) * 2
    trial = found(bank.get("trial-balance", currency="EUR"))
    assert trial["totals"] == [{"currency": "EUR", "debits": show(whole, "EUR"), "credits": show(whole, "EUR")}]
    accepted(bank.post("chart/nodes", {"node": "1000", "title": "Customers", "type": "liability"}, role="operator"))
    accepted(bank.post(f"accounts/{two}/attach", {"node": "1000"}, role="operator"), 200)
    when: tuple[dict[str, Any], ...] = ({}, {"value_date": TODAY.isoformat()})
    for asked in when:
        [node] = [each for each in found(bank.get("chart/balances", **asked))["items"] if each["node"] == "1000"]
        assert (node["own"], node["total"]) == (show(whole, "EUR"),) * 2


def test_metadata_is_found_by_each_key_and_value_that_it_may_have(bank: Service) -> None:
    """Formance, pull request 395: keys of metadata with a dot were stored, and no filter found them."""
    account, other = bank.account("10.00"), bank.account()
    signs = "._:/#+-"
    pairs = {f"a{sign}b": f"c{sign}d" for sign in signs} | {"A" + signs: "1" + signs}
    id = accepted(transfer(bank, account, other, "1.00", metadata=pairs))["transaction"]
    accepted(bank.post(f"accounts/{account}/metadata", {"set": pairs}), 200)
    for key, value in pairs.items():
        listed = found(bank.get("accounts", metadata=f"{key}={value}"))["items"]
        assert [one["account"] for one in listed] == [account], key
        assert found(bank.get("accounts", metadata=f"{key}={value[:-1]}x"))["items"] == []
    assert found(bank.get(f"transactions/{id}"))["metadata"] == pairs
    for asked in ("a.b", "a.b=c'd", 'a.b=c"d', "a.b=%", "a.b=c.d,", "a b=c", "a.b=c.d OR 1"):
        assert bank.get("accounts", metadata=asked).status_code == 400, asked


def test_a_batch_with_a_refused_item_says_what_became_of_each(bank: Service) -> None:
    """Formance, issue 1596 of its stack: a bulk stopped at the first failure and answered two of three items.

    Here each item has an answer, or none has any effect, as the client asks.
    """
    source, target = bank.account("10.00"), bank.account()
    amounts = ("4.00", "7.00", "5.00")
    items = [item("transfers", eur(amount, source=source, target=target)) for amount in amounts]
    answers = batch(bank, items)
    assert [(one["key"], one["status"]) for one in answers] == [
        (asked["key"], status) for asked, status in zip(items, (201, 422, 201), strict=True)
    ]
    assert figures(bank, source, target) == [("1.00", "1.00"), ("9.00", "9.00")]
    unit = [{"path": one["path"], "body": {**one["body"], "amount": "0.60"}} for one in items]
    headers = {"Authorization": f"Bearer {TOKENS['command']}", "Idempotency-Key": "a-unit-of-three"}
    answer = bank.http.post("/v1/batches", params={"atomic": "true"}, json=unit, headers=headers)
    assert refused(answer, "item_refused")["figures"]["item"] == 2
    assert figures(bank, source, target) == [("1.00", "1.00"), ("9.00", "9.00")]


def test_two_debits_of_one_account_keep_their_own_amounts(bank: Service) -> None:
    """Midaz, issue 703: an account that was named twice as a source paid the second amount twice."""
    payer, first, second = bank.account("400.00"), bank.account(), bank.account()
    lines = [
        eur("150.00", account=payer, side="debit"),
        eur("50.00", account=payer, side="debit"),
        eur("150.00", account=first, side="credit"),
        eur("50.00", account=second, side="credit"),
    ]
    at_first = accepted(bank.post("transactions", {"entries": lines}))["transaction"]
    waits = accepted(bank.post("transactions/pending", {"entries": lines}))["transaction"]
    assert figures(bank, payer) == [("200.00", "0.00")]
    accepted(bank.post(f"transactions/{waits}/post", {}), 200)
    assert figures(bank, payer, first, second) == [("0.00", "0.00"), ("300.00", "300.00"), ("100.00", "100.00")]
    for id in (at_first, waits):
        entries = found(bank.get(f"transactions/{id}"))["entries"]
        assert [one["amount"] for one in entries] == ["150.00", "50.00", "150.00", "50.00"]
        parts = [{"entry": number, **eur("50.00")} for number in (2, 4)]
        accepted(bank.post(f"transactions/{id}/reverse", {"entries": parts, **WHY}))
        refused(bank.post(f"transactions/{id}/reverse", {"entries": parts, **WHY}), "reversal_exceeded")
        accepted(bank.post(f"transactions/{id}/reverse", WHY))
    assert figures(bank, payer, first, second) == [("400.00", "400.00"), ("0.00", "0.00"), ("0.00", "0.00")]


def test_a_pending_transaction_in_two_currencies_is_listed_and_ends(own_bank: Service) -> None:
    """Blnk, issue 55: an inflight transaction between two currencies held the money, and could not be found again."""
    bank = own_bank
    for role in ("cash", "revenue"):
        bank.do("accounts", {"type": role, "currency": "USD", "name": role})
    ours = {currency: internal_account("main", "revenue", currency) for currency in ("EUR", "USD")}
    payer, payee = bank.account("10.00"), bank.account(currency="USD")
    usd = {"amount": "10.86", "currency": "USD"}
    lines = [
        eur("10.00", account=payer, side="debit"),
        eur("10.00", account=ours["EUR"], side="credit"),
        {"account": ours["USD"], "side": "debit", **usd},
        {"account": payee, "side": "credit", **usd},
    ]
    readers: tuple[dict[str, Any], ...] = ({}, {"token": bank.customer("customer-1")})

    def newest(**filters: Any) -> list[str]:
        """The newest transaction that each reader finds: an operator, and the owner of both accounts."""
        pages = [found(bank.get("transactions", newest_first=True, **filters, **who))["items"] for who in readers]
        return [page[0]["transaction"] for page in pages]

    def goes_through(end: str, status: str) -> str:
        id: str = accepted(bank.post("transactions/pending", {"entries": lines}))["transaction"]
        assert figures(bank, payer, payee) == [("10.00", "0.00"), ("0.00", "0.00")]
        assert newest(account=payer) == newest(account=payer, status="pending") == newest(status="pending") == [id] * 2
        accepted(bank.post(f"transactions/{id}/{end}", {}), 200)
        assert newest(account=payer, status=status) == [id] * 2
        return id

    goes_through("cancel", "cancelled")
    id = goes_through("post", "posted")
    assert figures(bank, payer, payee) == [("0.00", "0.00"), ("10.86", "10.86")]
    refused(bank.post(f"transactions/{id}/reverse", eur("10.00", **WHY)), "reversal_of_many")
    accepted(bank.post(f"transactions/{id}/reverse", WHY))
    assert figures(bank, payer, payee) == [("10.00", "10.00"), ("0.00", "0.00")]


@pytest.mark.parametrize(
    ("currency", "amount", "gets"),
    [
        ("EUR", "2.50", ["1.25", "1.12", "0.13"]),
        ("EUR", "1.20", ["0.60", "0.54", "0.06"]),
        ("JPY", "5", ["2", "2", "1"]),
        ("KWD", "0.005", ["0.002", "0.002", "0.001"]),
        ("JPY", "1", ["1"]),
    ],
)
def test_percentages_and_what_is_left_come_to_the_whole(
    bank: Service, currency: str, amount: str, gets: list[str]
) -> None:
    """Blnk, issue 73: 50 %, 45 % and the rest of 2.50 were rounded one by one, and came to 2.51."""
    name = f"shares-{currency.lower()}-{amount.replace('.', '')}"
    body = {
        "name": name,
        "kind": "payment",
        "parameters": [{"name": each, "type": "account"} for each in ("payer", "one", "two", "three")]
        + [{"name": "currency", "type": "currency"}, {"name": "total", "type": "amount", "currency": "currency"}],
        "amounts": [
            {"name": "half", "kind": "percentage", "of": "total", "percentage": "50"},
            {"name": "most_of_half", "kind": "percentage", "of": "total", "percentage": "45"},
            {"name": "left", "kind": "sum", "plus": ["total"], "minus": ["half", "most_of_half"]},
        ],
        "entries": [
            {"side": "debit", "parameter": "payer", "amount": "total"},
            {"side": "credit", "parameter": "one", "amount": "half"},
            {"side": "credit", "parameter": "two", "amount": "most_of_half"},
            {"side": "credit", "parameter": "three", "amount": "left"},
        ],
    }
    accepted(bank.post("templates", body, role="operator"))
    accounts = {each: bank.account(currency=currency, minimum=None) for each in ("payer", "one", "two", "three")}
    parameters = {**accounts, "currency": currency, "total": amount}
    posted = accepted(bank.post(f"templates/{name}/transactions", {"parameters": parameters}))
    assert [one["amount"] for one in posted["entries"]] == [amount, *gets]
    balances = [found(bank.get(f"accounts/{account}"))["balance"] for account in accounts.values()]
    assert sum(parse(one, currency) for one in balances) == 0
    assert balances[0] == f"-{amount}"


@pytest.mark.parametrize("amount", ["0", "0.00", "-0", "-0.01", "0.001", "1e2", "٣", " 1", "1_0", "NaN", "0x1", ""])
def test_no_amount_but_more_than_nothing_is_taken(bank: Service, amount: str) -> None:
    """Midaz, issue 1451: a transaction for zero was answered with status 500."""
    one, two = bank.account("10.00"), bank.account("10.00")
    hold = accepted(bank.post(f"accounts/{one}/holds", eur("1.00")))["hold"]
    paid = accepted(transfer(bank, one, two, "1.00"))["transaction"]
    lines = [eur(amount, account=one, side="debit"), eur(amount, account=two, side="credit")]
    before = bank.log_digest()
    for path, body in (
        ("transfers", eur(amount, source=one, target=two)),
        ("transfers/pending", eur(amount, source=one, target=two)),
        ("transactions", {"entries": lines}),
        ("transactions/pending", {"entries": lines}),
        (f"accounts/{one}/deposits", eur(amount)),
        (f"accounts/{one}/withdrawals", eur(amount)),
        (f"accounts/{one}/fees", eur(amount)),
        (f"accounts/{one}/holds", eur(amount)),
        (f"accounts/{one}/holds/{hold}/capture", eur(amount, target=two)),
        (f"transactions/{paid}/reverse", eur(amount, **WHY)),
        (f"transactions/{paid}/reverse", {"entries": [{"entry": n, **eur(amount)} for n in (1, 2)], **WHY}),
        (f"transactions/{paid}/refund", eur(amount, **WHY)),
        (f"transactions/{paid}/chargeback", eur(amount, **WHY)),
    ):
        answer = bank.post(path, body)
        assert answer.status_code in (400, 422), (path, answer.text)
    assert bank.log_digest().events == before.events
