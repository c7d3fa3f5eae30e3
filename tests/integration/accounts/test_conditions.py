"""Conditions and unique references over HTTP: races, retries, batches, dry runs, and what customers learn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any, get_type_hints

import psycopg
import pytest

from api import registry
from api.accounts.conditions import Conditional
from api.commands.routes import CommandRoute
from api.gateway.routes import RouteTable
from domain.accounts.posting import internal_account
from domain.accounts.transaction.conditions import MOST_CONDITIONS, Condition, Conditioned
from eventstore.log.answers import Outcome
from tests.samples.registry import ROUTES
from tests.support.answers import accepted, eur, found
from tests.support.ledger import assert_sound, balances, deposit, executor_on, ledger_on, submission
from tests.support.postgres import Database, Server
from tests.support.service import Service, service_on

CLIENTS = 20
CASH = internal_account("main", "cash", "EUR")
MISSING = "acct_01h455vb4pex5vsknk084sn02q"


@pytest.fixture(scope="module")
def bank(postgres18: Server) -> Iterator[Service]:
    """A service whose log must be sound at the end."""
    with postgres18.database() as database, service_on(database) as running:
        yield running
        assert_sound(database)


def condition(account: str, comparison: str, amount: str, **more: Any) -> dict[str, Any]:
    return {"account": account, "what": "balance", "is": comparison, "currency": "EUR", "amount": amount, **more}


def at_once(send: Callable[[int], Any]) -> list[Any]:
    """The answers of clients that send at the same time."""
    together = Barrier(CLIENTS)

    def one(number: int) -> Any:
        together.wait()
        return send(number)

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(one, range(CLIENTS)))


def balance(bank: Service, account: str) -> str:
    text: str = found(bank.get(f"accounts/{account}"))["balance"]
    return text


def refused(response: Any) -> dict[str, Any]:
    """The problem of a command that a rule refuses."""
    assert response.status_code == 422, response.text
    document: dict[str, Any] = response.json()
    return document


# Every route


def conditional_routes() -> dict[str, CommandRoute]:
    """The routes whose body may have conditions."""
    routes: dict[str, CommandRoute] = {}
    for declared in RouteTable(registry.routes()).routes:
        declaration = declared.declaration
        if isinstance(declaration, CommandRoute):
            body = get_type_hints(inspect.unwrap(declaration.build)).get("body")
            if inspect.isclass(body) and issubclass(body, Conditional):
                routes[declared.route.path] = declaration
    return routes


def test_the_commands_that_post_have_conditions() -> None:
    named = {route.makes.__name__ for route in conditional_routes().values()}
    assert {"Deposit", "Withdraw", "ChargeFee", "Transfer", "PostTransaction", "CaptureHold", "PayOrder"} <= named


@pytest.mark.parametrize("path", sorted(conditional_routes()))
def test_a_route_keeps_the_conditions_and_the_reference_of_its_body(bank: Service, path: str) -> None:
    request = ROUTES[path](bank)
    address = path.removeprefix("/v1/").format_map(request.names)
    body = {**request.body, "reference": f"route-{sorted(conditional_routes()).index(path)}", "unique_reference": "log"}
    watched = bank.account("5.00")
    no = refused(bank.post(address, {**body, "conditions": [condition(watched, "gt", "5.00")]}, role="operator"))
    assert (no["code"], no["figures"]["account"], no["figures"]["actual"]) == ("condition_failed", watched, "5.00")
    yes = bank.post(address, {**body, "conditions": [condition(watched, "gte", "5.00")]}, role="operator")
    assert yes.status_code in (200, 201), yes.text
    assert yes.json()["versions"][f"claim:reference:log:{body['reference']}"] == 1
    [listed] = found(bank.get("transactions", reference=body["reference"]))["items"]
    assert listed["transaction"] == yes.json()["transaction"]


# Conditions


def test_of_many_withdrawals_at_once_exactly_those_are_paid_whose_condition_holds(bank: Service) -> None:
    """From 145.00, five withdrawals begin with 100.00 or more: at 145, 135, 125, 115 and 105."""
    account = bank.account("145.00")
    body = eur("10.00", conditions=[condition(account, "gte", "100.00")])
    answers = at_once(lambda _: bank.post(f"accounts/{account}/withdrawals", body))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [422] * 15
    for answer in answers:
        if answer.status_code == 422:
            assert answer.json()["code"] == "condition_failed"
            assert answer.json()["figures"]["actual"] == "95.00"
    assert balance(bank, account) == "95.00"


def test_conditions_on_two_accounts_of_transfers_that_cross(bank: Service) -> None:
    """Each transfer wants the target to have no more than the source had at first, so one side never gets ahead."""
    one, two = bank.account("100.00"), bank.account("100.00")

    def cross(number: int) -> Any:
        source, target = (one, two) if number % 2 else (two, one)
        body = eur("10.00", source=source, target=target, conditions=[condition(target, "lte", "100.00")])
        return bank.post("transfers", body)

    answers = at_once(cross)
    assert {answer.status_code for answer in answers} <= {201, 422}
    assert {balance(bank, one), balance(bank, two)} in ({"100.00"}, {"90.00", "110.00"})


def test_a_condition_on_the_cash_account_while_others_pay_in(bank: Service) -> None:
    """Entries of the cash account commute. A condition on it still sees its exact balance."""
    account, cash = bank.account(), Decimal(balance(bank, CASH))
    wanted = f"{cash - CLIENTS // 2:.2f}"
    guarded, plain = eur("1.00", conditions=[condition(CASH, "gt", wanted)]), eur("0.10")

    def pay_in(number: int) -> Any:
        return bank.post(f"accounts/{account}/deposits", plain if number % 4 == 0 else guarded)

    answers = [answer for _ in range(2) for answer in at_once(pay_in)]
    plain_ones, guarded_ones = answers[::4], [answer for number, answer in enumerate(answers) if number % 4]
    assert {answer.status_code for answer in plain_ones} == {201}
    let_in = [answer for answer in guarded_ones if answer.status_code == 201]
    assert {refused(answer)["code"] for answer in guarded_ones if answer not in let_in} == {"condition_failed"}
    with psycopg.connect(bank.database.url) as connection:
        amounts = connection.execute(
            "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'amount')::int FROM log.events"
            " WHERE stream = %s AND type = 'account.debited.v1' ORDER BY version DESC LIMIT %s",
            (CASH, len(plain_ones) + len(let_in)),
        ).fetchall()
    left = cash
    for (amount,) in reversed(amounts):
        assert amount != 100 or left > Decimal(wanted), "a command was accepted though its condition did not hold"
        left -= Decimal(amount) / 100
    assert Decimal(balance(bank, CASH)) == left <= Decimal(wanted)


def test_a_condition_on_the_cash_account_sees_what_another_process_has_paid_in(database18: Database) -> None:
    """The entries of the other process commute with each deposit, but not with one that has a condition on cash."""
    with ledger_on(database18) as ledger, executor_on(database18) as other:
        account, amounts = ledger.account(10), iter(range(20, 80, 20))

        def conditional(least: int) -> Conditioned:
            exact = Condition(CASH, "balance", "gte", -least, "EUR")
            return Conditioned(deposit(account, 10), (exact,))

        for before in amounts:  # the cash account is at -10 at first, and at 20 less after each round
            assert other.execute([submission(deposit(account, 10))])[0].outcome is Outcome.ACCEPTED
            no = ledger.execute(conditional(before - 1))
            assert (no.rule, no.result["actual"]) == ("condition_failed", f"-{before / 100:.2f}")
            assert ledger.accepted(conditional(before)).result["versions"][CASH] > 0
    assert balances(database18)[CASH] == -70
    assert_sound(database18)


def test_a_retry_gets_the_same_answer_though_the_balance_is_another_one(bank: Service) -> None:
    account = bank.account("100.00")
    path, body = f"accounts/{account}/withdrawals", eur("10.00", conditions=[condition(account, "eq", "100.00")])
    first = bank.post(path, body, key="conditions-accepted")
    no = bank.post(path, body, key="conditions-refused")
    assert (accepted(first)["outcome"], refused(no)["code"]) == ("accepted", "condition_failed")
    accepted(bank.post(f"accounts/{account}/deposits", eur("10.00")))
    for key, before in (("conditions-accepted", first), ("conditions-refused", no)):
        again = bank.post(path, body, key=key)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (again.status_code, again.content) == (before.status_code, before.content)
    other = bank.post(path, eur("10.00", conditions=[condition(account, "gte", "100.00")]), key="conditions-refused")
    assert other.json()["code"] == "key_reused", "the conditions are part of the request"


def test_conditions_in_batches_and_dry_runs(bank: Service) -> None:
    account, other = bank.account("100.00"), bank.account()
    rich = [condition(account, "gte", "100.00")]
    body = eur("10.00", source=account, target=other, conditions=rich)
    tried = bank.post("transfers?dry_run=true", body)
    assert (tried.status_code, tried.headers["Daybook-Dry-Run"]) == (201, "true")

    items = [{"path": "/v1/transfers", "body": body}] * 2
    both = refused(bank.post("batches?atomic=true", items))
    assert both["figures"]["item"] == 2
    assert both["figures"]["figures"]["actual"] == "90.00"
    assert balance(bank, account) == "100.00"

    keyed = [{**item, "key": f"conditions-batch-{number}"} for number, item in enumerate(items)]
    each = found(bank.post("batches", keyed))
    assert [one["status"] for one in each] == [201, 422]
    assert each[1]["body"]["code"] == "condition_failed"
    assert bank.post("transfers?dry_run=true", body).status_code == 422


def test_a_command_with_conditions_is_recorded_under_its_own_name(bank: Service) -> None:
    account = bank.account("1.00")
    for comparison, status in (("eq", 201), ("gt", 422)):
        body = eur("1.00", conditions=[condition(account, comparison, "1.00")])
        assert bank.post(f"accounts/{account}/fees", body, key=f"named-{comparison}").status_code == status
    with psycopg.connect(bank.database.url) as connection:
        recorded = connection.execute(
            "SELECT DISTINCT convert_from(metadata, 'UTF8')::jsonb ->> 'command' FROM log.events"
            " WHERE convert_from(metadata, 'UTF8')::jsonb ->> 'key' LIKE 'named-%'"
        ).fetchall()
    assert recorded == [("ChargeFee",)]
    assert found(bank.get("refusals", command="ChargeFee"))["items"][-1]["rule"] == "condition_failed"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"is": "ne"}, "is"),
        ({"what": "reserved"}, "what"),
        ({"amount": "1.001"}, "amount"),
        ({"amount": 1}, "amount"),
        ({"amount": "99999999999999999"}, "amount"),
        ({"currency": "ZZZ"}, "currency"),
        ({"account": "x"}, "account"),
        ({"more": 1}, "more"),
    ],
)
def test_a_condition_that_is_not_well_formed(bank: Service, changed: Any, where: str) -> None:
    account = bank.account()
    response = bank.post(
        f"accounts/{account}/deposits", eur("1.00", conditions=[condition(account, "eq", "0") | changed])
    )
    assert (response.status_code, response.json()["code"]) == (400, "malformed"), response.text
    assert where in response.json()["detail"]


def test_the_most_conditions(bank: Service) -> None:
    account = bank.account()
    one = condition(account, "lte", "0")
    accepted(bank.post(f"accounts/{account}/deposits", eur("1.00", conditions=[one] * MOST_CONDITIONS)))
    too_many = bank.post(f"accounts/{account}/deposits", eur("1.00", conditions=[one] * (MOST_CONDITIONS + 1)))
    assert too_many.status_code == 400


# Unique references


def test_of_many_transfers_with_one_unique_reference_one_is_posted(bank: Service) -> None:
    account, target = bank.account("100.00"), bank.account()
    for scope in ("account", "log"):
        body = eur("1.00", source=account, target=target, reference=f"invoice-{scope}", unique_reference=scope)
        answers = at_once(lambda _, body=body: bank.post("transfers", body))  # type: ignore[misc]
        [posted] = [answer.json()["transaction"] for answer in answers if answer.status_code == 201]
        others = [refused(answer) for answer in answers if answer.status_code != 201]
        assert len(others) == CLIENTS - 1
        assert {other["code"] for other in others} == {"reference_taken"}
        assert {other["figures"]["transaction"] for other in others} == {posted}
    assert balance(bank, account) == "98.00"


def test_a_unique_reference_needs_a_reference(bank: Service) -> None:
    account = bank.account()
    path = f"accounts/{account}/deposits"
    assert refused(bank.post(path, eur("1.00", unique_reference="account")))["code"] == "reference_missing"
    assert bank.post(path, eur("1.00", reference="r", unique_reference="person")).status_code == 400


# Customers


def test_a_customer_has_conditions_on_what_is_theirs_and_learns_of_nothing_else(bank: Service) -> None:
    person = "prsn_conditions"
    token = bank.customer(person)
    own, foreign = bank.account("100.00", owner=person), bank.account("7.00")

    def asked(account: str, comparison: str, amount: str, **more: Any) -> Any:
        body = eur("1.00", source=own, target=foreign, conditions=[condition(account, comparison, amount, **more)])
        return bank.post("transfers", body, token=token)

    accepted(asked(own, "eq", "100.00"))
    assert refused(asked(own, "eq", "100.00"))["figures"]["actual"] == "99.00"
    for account in (foreign, CASH, MISSING):
        for comparison, currency in (("gte", "EUR"), ("lt", "EUR"), ("gte", "USD")):
            unknown = asked(account, comparison, "8.00", currency=currency)
            assert unknown.status_code == 404
            assert unknown.json()["detail"] == f"There is no account {account}."
    body = eur("1.00", source=own, target=foreign, reference="r", unique_reference="log")
    assert bank.post("transfers", body, token=token).status_code == 403
    accepted(bank.post("transfers", {**body, "unique_reference": "account"}, token=token))


def test_a_wrong_condition_does_not_tell_a_customer_the_version_of_a_foreign_account(bank: Service) -> None:
    person = "prsn_versions"
    token = bank.customer(person)
    own, foreign = bank.account("100.00", owner=person), bank.account("7.00")
    fails = [condition(own, "eq", "1.00")]
    body = eur("1.00", source=foreign, target=own, conditions=fails, expected_versions={foreign: 99})
    assert bank.post("transfers", body, token=token).status_code == 404


def test_a_transfer_to_itself_does_not_tell_a_customer_the_version_of_a_foreign_account(bank: Service) -> None:
    """`same_account` was decided first. So the expectation was looked at, and its answer had the actual version."""
    token, foreign = bank.customer("prsn_same"), bank.account("7.00")
    for account in (foreign, MISSING):
        body = eur("1.00", source=account, target=account, expected_versions={account: 99})
        assert bank.post("transfers", body, token=token).status_code == 404
