"""Periods over HTTP: a closing against racing postings, each way to post, the seal, two persons who reopen one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest

from tests.samples.accounts.periods import closed, figures_until, operators
from tests.samples.orders.order import confirmed
from tests.support.answers import accepted, eur, found
from tests.support.ledger import TODAY, assert_sound
from tests.support.periods import (
    FIRST_DAY,
    LAST_DAY,
    NAME,
    OPEN_DAY,
    close,
    events_of,
    findings,
    opened,
    seal,
    wait_until_folded,
)
from tests.support.postgres import Server
from tests.support.service import Service, service_on

CLIENTS = 20
REASON = {"reason": "An invoice is missing"}


@pytest.fixture
def ledger(postgres18: Server) -> Iterator[Service]:
    """A service of its own, because a closing is for the whole log. It is verified at the end."""
    with postgres18.database() as database, service_on(database) as running:
        yield running
        wait_until_folded(running)
        assert_sound(database)
        assert findings(running) == []


# Each way to post

Post = Callable[[Service, str], Any]
"""Posts with this value date."""


def _movement(kind: str) -> Post:
    return lambda service, day: service.post(f"accounts/{opened(service, '9')}/{kind}", eur("1", value_date=day))


def _transfer(service: Service, day: str) -> Any:
    body = eur("1", source=opened(service, "9"), target=opened(service), value_date=day)
    return service.post("transfers", body)


def _journal(service: Service, day: str) -> Any:
    sides = (("debit", opened(service, "9")), ("credit", opened(service)))
    entries = [{"account": account, "side": side, **eur("1")} for side, account in sides]
    return service.post("transactions", {"entries": entries, "value_date": day})


def _capture(service: Service, day: str) -> Any:
    account = opened(service, "9")
    hold = accepted(service.post(f"accounts/{account}/holds", eur("1")))["hold"]
    body = eur("1", target=opened(service), value_date=day)
    return service.post(f"accounts/{account}/holds/{hold}/capture", body)


def _order(service: Service, day: str) -> Any:
    account = opened(service, "999")
    return service.post(f"orders/{confirmed(service)}/pay", {"account": account, "value_date": day})


WAYS: dict[str, Post] = {
    "deposit": _movement("deposits"),
    "withdrawal": _movement("withdrawals"),
    "fee": _movement("fees"),
    "transfer": _transfer,
    "journal": _journal,
    "capture": _capture,
    "order": _order,
}


def test_each_way_to_post_stops_at_the_last_closed_day(ledger: Service) -> None:
    prepared: list[tuple[str, Post]] = list(WAYS.items())
    before = {name: post(ledger, LAST_DAY.isoformat()).status_code for name, post in prepared}
    assert set(before.values()) <= {200, 201}, before
    # The accounts of the closed days need their opening balances from before the closing.
    pairs = [(name, post, _frozen(ledger, post)) for name, post in prepared]
    accepted(close(ledger))
    for name, _, send in pairs:
        for day in (FIRST_DAY - timedelta(1), FIRST_DAY, LAST_DAY):
            response = send(day.isoformat())
            assert response.status_code == 422, (name, response.text)
            problem = response.json()
            assert problem["code"] == "period_closed", (name, problem)
            assert problem["figures"]["open_from"] == OPEN_DAY.isoformat()
            assert problem["figures"]["name"] == NAME
        response = send(OPEN_DAY.isoformat())
        assert response.status_code in (200, 201), (name, response.text)


def _frozen(service: Service, post: Post) -> Callable[[str], Any]:
    """The request of a way to post, recorded before it is sent, so that it can be sent with any value date."""
    recorded: list[tuple[str, dict[str, Any]]] = []

    class Recording:
        def __getattr__(self, name: str) -> Any:
            return getattr(service, name)

        def post(self, path: str, body: Any = None, **more: Any) -> Any:
            if isinstance(body, dict) and body.get("value_date") == "a day":
                recorded.append((path, body))
                return None
            return service.post(path, body, **more)

    post(Recording(), "a day")  # type: ignore[arg-type]
    [(path, body)] = recorded
    return lambda day: service.post(path, {**body, "value_date": day})


def test_a_closing_lets_in_exactly_what_was_posted_before_it(ledger: Service) -> None:
    account, barrier, under_way = opened(ledger), Barrier(CLIENTS + 1), Event()
    body = eur("1", value_date=LAST_DAY.isoformat())

    def client(number: int) -> int:
        """Post until it is refused. Returns how often it was accepted."""
        barrier.wait()
        done = 0
        while (response := ledger.post(f"accounts/{account}/deposits", body)).status_code == 201:
            done += 1
            under_way.set()
        assert response.json()["code"] == "period_closed", response.text
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, number) for number in range(CLIENTS)]
        barrier.wait()
        assert under_way.wait(30)
        closing = int(accepted(close(ledger))["position"].rpartition(".")[2])
        posted = sum(one.result(60) for one in clients)
    with psycopg.connect(ledger.database.url) as connection:
        row = connection.execute(
            "SELECT count(*), max(position) FROM log.events WHERE type = 'account.credited.v1' AND stream = %s",
            (account,),
        ).fetchone()
    assert row is not None
    assert row[0] == posted > 0
    assert row[1] < closing
    seal(ledger)
    [period] = found(ledger.get("periods"))["items"]
    figures = found(ledger.get(f"periods/{period['period']}"))["figures"]
    assert {one["type"]: one["balance"] for one in figures} == {"cash": f"-{posted}.00", "checking": f"{posted}.00"}


def test_a_late_fact_is_posted_to_an_open_day_and_names_its_own(ledger: Service) -> None:
    one, two = opened(ledger, "9"), opened(ledger)
    entries = [{"account": one, "side": "debit", **eur("1")}, {"account": two, "side": "credit", **eur("1")}]
    late = {"entries": entries, "late_for": LAST_DAY.isoformat()}
    assert ledger.post("transactions", late).json()["code"] == "late_for_open_day"
    accepted(close(ledger))
    closed_day = ledger.post("transactions", {**late, "value_date": LAST_DAY.isoformat()})
    assert closed_day.json()["code"] == "period_closed"
    posted = accepted(ledger.post("transactions", late))["transaction"]
    shown = found(ledger.get(f"transactions/{posted}"))
    assert (shown["value_date"], shown["late_for"]) == (TODAY.isoformat(), LAST_DAY.isoformat())
    waiting = accepted(ledger.post("transactions/pending", late))["transaction"]
    accepted(ledger.post(f"transactions/{waiting}/post", {}), 200)
    assert found(ledger.get(f"transactions/{waiting}"))["late_for"] == LAST_DAY.isoformat()
    still_open = ledger.post("transactions", {**late, "late_for": OPEN_DAY.isoformat()})
    assert still_open.json()["code"] == "late_for_open_day"
    seal(ledger)


# The seal


def test_a_closed_period_is_sealed_with_its_trial_balance(ledger: Service) -> None:
    a, b = opened(ledger, "100.00"), opened(ledger, "20.00")
    accepted(ledger.post("transfers", eur("5.50", source=a, target=b, value_date=LAST_DAY.isoformat())))
    accepted(ledger.post("transfers", eur("1.00", source=a, target=b, value_date=OPEN_DAY.isoformat())))
    accepted(ledger.post(f"accounts/{a}/fees", eur("0.30", value_date=LAST_DAY.isoformat())))
    before = accepted(close(ledger))
    assert before["status"] == "closed"
    assert found(ledger.get(f"periods/{before['period']}"))["status"] == "closed"
    seal(ledger)
    digest, figures = figures_until(events_of(ledger), LAST_DAY)
    wait_until_folded(ledger)
    period = found(ledger.get(f"periods/{before['period']}"))
    assert (period["status"], period["digest"]) == ("sealed", digest)
    assert [(one["currency"], one["type"], one["accounts"]) for one in period["figures"]] == [
        (one.currency, one.type, one.accounts) for one in figures
    ]
    assert [one["balance"] for one in period["figures"]] == ["-120.00", "119.70", "0.30"]
    accepted(ledger.post("transfers", eur("3", source=a, target=b, value_date=OPEN_DAY.isoformat())))
    seal(ledger)
    assert found(ledger.get(f"periods/{before['period']}"))["figures"] == period["figures"]
    assert found(ledger.get("periods", status="sealed", name=NAME))["items"][0]["digest"] == digest
    assert found(ledger.get("periods", status="open"))["items"] == []


def test_verify_finds_a_seal_with_other_figures(ledger: Service) -> None:
    opened(ledger, "100.00")
    accepted(close(ledger))
    seal(ledger)
    wait_until_folded(ledger)
    forged = (
        "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), %s, %s), 'UTF8')"
        " WHERE type = 'period.sealed.v1'"
    )
    with psycopg.connect(ledger.database.url) as superuser:
        superuser.execute(forged, (":10000,", ":10001,"))
    says = "EUR cash has 10001 and 0 (accounts: 1), its entries 10000 and 0 (1); EUR checking has"
    assert any(says in one for one in findings(ledger))
    with psycopg.connect(ledger.database.url) as superuser:
        superuser.execute(forged, (":10001,", ":10000,"))


def test_a_ledger_without_entries_is_sealed_too(ledger: Service) -> None:
    period = accepted(close(ledger))["period"]
    seal(ledger)
    sealed = found(ledger.get(f"periods/{period}"))
    assert (sealed["status"], sealed["figures"]) == ("sealed", [])
    assert sealed["digest"] == figures_until([], LAST_DAY)[0]


# Reopening


def test_two_persons_reopen_the_newest_period_and_it_is_sealed_anew(ledger: Service) -> None:
    account = opened(ledger, "100.00")
    late = eur("7", value_date=LAST_DAY.isoformat())
    period = accepted(close(ledger))["period"]
    seal(ledger)
    assert ledger.post(f"accounts/{account}/deposits", late).json()["code"] == "period_closed"
    ada, bob = operators(ledger)
    machine = ledger.post(f"periods/{period}/reopenings", REASON, role="operator")
    assert machine.status_code == 403, "a machine does not ask"
    approval = accepted(ada.post(f"periods/{period}/reopenings", REASON))["approval"]
    shown = found(ledger.get(f"periods/{period}"))
    assert (shown["approval"], shown["asked_by"], shown["reason"]) == (approval, ada.id, REASON["reason"])
    path = f"periods/reopenings/{approval}/approve"
    assert ledger.post(path, {}, role="operator").status_code == 403, "a machine does not approve"
    assert ada.post(path, {}).json()["code"] == "approval_by_self"
    assert accepted(bob.post(path, {}), 200)["status"] == "open"
    assert bob.post(path, {}).json()["code"] == "approval_outcome"
    accepted(ledger.post(f"accounts/{account}/deposits", late))
    shown = found(ledger.get(f"periods/{period}"))
    assert (shown["status"], shown["reopened_by"]) == ("open", bob.id)
    assert [one["balance"] for one in shown["figures"]] == ["-100.00", "100.00"], "what was sealed before"

    again = accepted(close(ledger))["period"]
    assert again != period
    seal(ledger)
    balances = [one["balance"] for one in found(ledger.get(f"periods/{again}"))["figures"]]
    assert balances == ["-107.00", "107.00"]


def test_a_period_that_was_reopened_before_its_seal_is_not_sealed(ledger: Service) -> None:
    period = accepted(close(ledger))["period"]
    ada, bob = operators(ledger)
    approval = accepted(ada.post(f"periods/{period}/reopenings", REASON))["approval"]
    accepted(bob.post(f"periods/reopenings/{approval}/approve", {}), 200)
    seal(ledger)
    shown = found(ledger.get(f"periods/{period}"))
    assert (shown["status"], shown["sealed_at"], shown["figures"]) == ("open", None, [])


def test_approving_races_with_withdrawing(ledger: Service) -> None:
    """One of the two decides, whatever happens at once."""
    ada, bob = operators(ledger)
    for _ in range(5):
        period = closed(ledger)
        approval = accepted(ada.post(f"periods/{period}/reopenings", REASON))["approval"]
        barrier = Barrier(2)

        def decide(who: Any, verb: str, approval: str = approval, barrier: Barrier = barrier) -> int:
            barrier.wait()
            return int(who.post(f"periods/reopenings/{approval}/{verb}", {}).status_code)

        with ThreadPoolExecutor(2) as pool:
            codes = [pool.submit(decide, bob, "approve"), pool.submit(decide, ada, "withdraw")]
            assert sorted(code.result(30) for code in codes) == [200, 422]


# Bad input


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"name": NAME, "begins_on": "2026-10-02", "ends_on": "2026-10-01"}, "period_order"),
        ({"name": NAME, "begins_on": "2026-10-01", "ends_on": TODAY.isoformat()}, "period_not_over"),
        ({"name": "an October", "begins_on": "2026-10-01", "ends_on": "2026-10-31"}, "not_a_code"),
        ({"name": "next", "begins_on": "2026-09-30", "ends_on": "2026-10-31"}, "period_not_next"),
        ({"name": "next", "begins_on": "2026-10-02", "ends_on": "2026-10-31"}, "period_not_next"),
        ({"name": "september", "begins_on": "2026-10-01", "ends_on": "2026-10-31"}, "period_exists"),
    ],
)
def test_what_cannot_be_closed_changes_nothing(ledger: Service, body: dict[str, str], rule: str) -> None:
    accepted(close(ledger, date(2026, 9, 1), date(2026, 9, 30), "september"))
    before = ledger.log_digest()
    response = ledger.post("periods", body, role="operator")
    expected = 400 if rule == "not_a_code" and response.status_code == 400 else 422
    assert response.status_code == expected, response.text
    assert expected == 400 or response.json()["code"] == rule
    assert ledger.log_digest().events == before.events


def test_who_may_close_and_what_is_unknown(ledger: Service) -> None:
    assert ledger.post("periods", {"name": NAME, "begins_on": "2026-10-01", "ends_on": "2026-10-31"}).status_code == 403
    ada, bob = operators(ledger)
    unknown = "per_01h455vb4pex5vsknk084sn02q"
    assert ada.post(f"periods/{unknown}/reopenings", REASON).json()["code"] == "period_not_closed"
    assert bob.post("periods/reopenings/appr_01h455vb4pex5vsknk084sn02q/approve", {}).status_code == 404
    assert ledger.get(f"periods/{unknown}").status_code == 404
