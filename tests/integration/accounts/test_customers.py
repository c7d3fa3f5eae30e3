"""What customers send and read over HTTP: what is theirs, and nothing that tells of anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from api import registry
from api.gateway.routes import RouteTable
from domain.accounts.account.owners import AddOwner, RemoveOwner, allows, knows
from domain.accounts.account.state import Account
from domain.accounts.posting import internal_account
from domain.registry import evolve
from eventstore.log.answers import ACCEPTED
from eventstore.postgres.connect import connect
from tests.samples.accounts import settlement as settlement_sample
from tests.support.answers import accepted, eur, found
from tests.support.ledger import NOW, codec_of, executor_on, submission
from tests.support.postgres import Server
from tests.support.service import Service, service_on

MOMENT = timedelta(microseconds=1)
MISSING = "acct_01h455vb4pex5vsknk084sn02q"
PERIOD: dict[str, Any] = {"from": NOW.date().isoformat(), "to": (NOW.date() + timedelta(days=1)).isoformat()}
CASH = internal_account("main", "cash", "EUR")
READS = {
    "/v1/account-persons",
    "/v1/accounts",
    "/v1/accounts/{account}",
    "/v1/accounts/{account}/balance",
    "/v1/accounts/{account}/daily-balances",
    "/v1/accounts/{account}/entries",
    "/v1/accounts/{account}/limit-usage",
    "/v1/accounts/{account}/movements",
    "/v1/accounts/{account}/statement",
    "/v1/holds",
    "/v1/holds/{hold}",
    "/v1/interest",
    "/v1/interest/{account}",
    "/v1/interest/{account}/credits",
    "/v1/settlement-agreements",
    "/v1/settlement-agreements/{account}",
    "/v1/settlements",
    "/v1/settlements/{settlement}",
    "/v1/conversions",
    "/v1/quotes/{quote}",
    "/v1/batches/{batch}",
    "/v1/batches/{batch}/items",
    "/v1/long-batches",
    "/v1/long-batches/{long_batch}",
    "/v1/long-batches/{long_batch}/items",
    "/v1/transactions",
    "/v1/transactions/{transaction}",
    "/v1/transactions/{transaction}/history",
    "/v1/proof/bundle/statement/{account}",  # tests/integration/proof/test_bundles.py has its tests
}
"""The reads that the tests below try. One that is open to customers and not here is a finding."""


@dataclass
class Clock:
    """The clock of the service, which tests set."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def bank(postgres18: Server, clock: Clock) -> Iterator[Service]:
    """A service whose clock can be set."""
    with postgres18.database() as database, service_on(database, clock=clock) as running:
        yield running


@pytest.fixture(autouse=True)
def at_the_beginning(clock: Clock) -> None:
    clock.now = NOW


def test_every_read_that_is_open_to_customers_is_tried_here() -> None:
    open_to_them = {
        declared.route.path
        for declared in RouteTable(registry.routes()).routes
        if "customer" in declared.declaration.may
        and "public" not in declared.declaration.may
        and "GET" in (declared.route.methods or ())
    }
    of_people = {path for path in open_to_them if path.startswith("/v1/people/")}  # tests/integration/people has them
    recurring = {path for path in open_to_them if path.startswith("/v1/recurring-payments")}  # test_recurring.py
    orders = {path for path in open_to_them if path.startswith("/v1/transfer-orders")}  # test_transfer_orders.py
    assert open_to_them - of_people - recurring - orders == READS


# Random worlds


class World:
    """Accounts, persons, mandates and transactions at random, and what the domain says about them."""

    def __init__(self, bank: Service, clock: Clock, seed: int) -> None:
        chance = Random(seed)
        self.bank, self.clock = bank, clock
        self.people = [f"prsn_{seed}_{n}" for n in range(4)]
        self.tokens = {person: bank.customer(person) for person in self.people}
        self.accounts = [bank.account("500.00", owner=chance.choice(self.people)) for _ in range(5)]
        self.ends: set[datetime] = set()
        for _ in range(45):
            clock.now += timedelta(seconds=1)
            self._something(chance)
        self.states = self._folded()
        self.transactions = self._all("transactions")
        self.holds = self._all("holds")

    def _something(self, chance: Random) -> None:
        """A command of an operator, which may be refused."""
        account, other, third = chance.sample(self.accounts, 3)
        person, choice = chance.choice(self.people), chance.random()
        if choice < 0.35:
            until = self.clock.now + timedelta(seconds=chance.randint(1, 60)) if chance.random() < 0.7 else None
            mandate = {
                "person": person,
                "may_see": chance.random() < 0.7,
                "currency": "EUR",
                "move_up_to": chance.choice((None, "1.00")),
                "until": None if until is None else until.isoformat(),
            }
            if self._do(f"accounts/{account}/mandates", mandate) and until is not None:
                self.ends.add(until)
        elif choice < 0.45:
            self._do(f"accounts/{account}/mandates/withdraw", {"person": person})
        elif choice < 0.55:
            self._do(f"accounts/{account}/owners", {"person": person})
        elif choice < 0.65:
            self._do(f"accounts/{account}/owners/remove", {"person": person})
        elif choice < 0.72:
            self._do(f"accounts/{account}/holds", eur("1.00"))
        elif choice < 0.77:
            self._do("transfers/pending", eur("3.00", source=account, target=other))
        elif choice < 0.85:
            self._do("transfers", eur("1.00", source=account, target=other))
        else:
            entries = [(account, "debit", "2.00"), (other, "credit", "1.00"), (third, "credit", "1.00")]
            lines = [eur(amount, account=id, side=side) for id, side, amount in entries]
            self._do("transactions", {"entries": lines})

    def _do(self, path: str, body: Any) -> bool:
        return bool(self.bank.post(path, body, role="operator").status_code < 300)

    def _folded(self) -> dict[str, Account]:
        """The states of the accounts, folded from the log."""
        states: dict[str, Any] = {}
        with (
            psycopg.connect(self.bank.database.url) as connection,
            connect(self.bank.database.query_url, application_name="keys") as keys,
        ):
            rows = connection.execute(
                "SELECT type, payload, stream, version FROM log.events WHERE stream = ANY (%s) ORDER BY position",
                (self.accounts,),
            ).fetchall()
            for event in codec_of(keys, self.bank.services.log_number).decode_many(rows):
                states[event.originator_id] = evolve(states.get(event.originator_id), event)
        return states

    def times(self) -> list[datetime]:
        """The end of each mandate with the moments beside it, and times when nothing ends."""
        ends = sorted(self.ends)
        return [at for end in ends for at in (end - MOMENT, end)] + [ends[-1] + MOMENT, ends[-1] + timedelta(days=99)]

    def _all(self, path: str, reader: str | None = None, /, limit: int = 200, **filters: Any) -> list[Any]:
        """All items of a list as staff gets them, or as a person does, page by page."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = found(self.get(path, reader, limit=limit, **filters, **cursor))
            items += page["items"]
            if page["next"] is None:
                return [one for one in items if self._is_of_this_world(one)] if reader is None else items
            cursor = {"cursor": page["next"]}

    def get(self, path: str, reader: str | None = None, /, **params: Any) -> Any:
        return self.bank.get(path, token=None if reader is None else self.tokens[reader], **params)

    def _is_of_this_world(self, item: Any) -> bool:
        ids = [item["account"]] if "account" in item else [entry["account"] for entry in item["entries"]]
        return not {*self.accounts}.isdisjoint(ids)

    def check(self, person: str, at: datetime) -> None:
        """What the person can read at this time is what the rule says."""
        self.clock.now = at
        seen = {id for id in self.accounts if allows(self.states[id], person, at)}
        staff = [account for account in self._all("accounts") if account["account"] in self.states]
        assert self._all("accounts", person, limit=2) == [one for one in staff if one["account"] in seen]
        for account in staff:
            self._check_account(person, account, account["account"] in seen)
            self._check_statement(person, account["account"], seen)
        self._check_transactions(person, seen)
        self._check_holds(person, seen)
        self._check_persons(person, at)

    def _check_account(self, person: str, account: Any, visible: bool) -> None:
        id = account["account"]
        by_number = self._all("accounts", person, number=account["number"])
        assert by_number == ([account] if visible else [])
        for what in ("", "/balance", "/daily-balances", "/entries", "/limit-usage", "/movements"):
            path, asked = f"accounts/{id}{what}", PERIOD if what == "/daily-balances" else {}
            answer = self.get(path, person, **asked)
            if visible:
                assert found(answer) == found(self.get(path, **asked))
            else:
                missing = self.get(path.replace(id, MISSING), person, **asked)
                assert (answer.status_code, missing.status_code) == (404, 404)
                assert answer.text.replace(id, MISSING) == missing.text

    def _check_statement(self, person: str, id: str, seen: set[str]) -> None:
        """The lines are those that staff gets. They name the other side of a payment, or what the person sees."""
        path = f"accounts/{id}/statement"
        answer = self.get(path, person, **PERIOD)
        if id not in seen:
            missing = self.get(path.replace(id, MISSING), person, **PERIOD)
            assert (answer.status_code, missing.status_code) == (404, 404)
            assert answer.text.replace(id, MISSING) == missing.text
            return
        expected = found(self.get(path, **PERIOD))
        for line in expected["items"]:
            if line["kind"] == "journal":  # it has three entries
                line["counterparties"] = [other for other in line["counterparties"] if other in seen]
                line["counterparties_in_all"] = len(line["counterparties"])
        assert found(answer) == expected

    def _check_transactions(self, person: str, seen: set[str]) -> None:
        expected = []
        for one in self.transactions:
            ids = {entry["account"] for entry in one["entries"]}
            shown = [entry for entry in one["entries"] if entry["account"] in seen]
            answer = self.get(f"transactions/{one['transaction']}", person)
            history = self.get(f"transactions/{one['transaction']}/history", person)
            if seen.isdisjoint(ids):
                assert (answer.status_code, history.status_code) == (404, 404)
                continue
            assert [change["by"] for change in found(history)["items"]] == [None]
            expected.append({**one, "entries": one["entries"] if len(one["entries"]) == 2 else shown})
            assert found(answer) == expected[-1]
        assert self._all("transactions", person, limit=3) == expected
        assert self._all("transactions", person, limit=3, newest_first=True) == expected[::-1]
        if expected:
            middle = expected[len(expected) // 2]["position"]
            assert self._all("transactions", person, after=middle) == [
                one for one in expected if one["position"] > middle
            ]
        wanted = [one for one in expected if any(entry["amount"] in ("2.00", "3.00") for entry in one["entries"])]
        assert self._all("transactions", person, currency="EUR", amount_from="2.00", amount_until="3.00") == wanted
        journals = [one for one in expected if one["kind"] == "journal"]
        assert self._all("transactions", person, kind="journal") == journals
        for account in self.accounts:
            of_account = [one for one in expected if account in {entry["account"] for entry in one["entries"]}]
            assert self._all("transactions", person, account=account) == (of_account if account in seen else [])

    def _check_holds(self, person: str, seen: set[str]) -> None:
        visible = [one for one in self.holds if one["account"] in seen]
        assert self._all("holds", person, limit=2) == visible
        for one in self.holds:
            answer, of_account = (
                self.get(f"holds/{one['hold']}", person),
                self._all("holds", person, account=one["account"]),
            )
            if one["account"] in seen:
                assert found(answer) == one
                assert one in of_account
            else:
                missing = self.get("holds/hold_x", person)
                assert (answer.status_code, missing.status_code, of_account) == (404, 404, [])
                assert answer.text.replace(one["hold"], "hold_x") == missing.text

    def _check_persons(self, person: str, at: datetime) -> None:
        everybody = self._all("account-persons")
        expected = [
            row
            for row in everybody
            if knows(state := self.states[row["account"]], person, at)
            and (row["person"] == person or person in state.profile.owners)
        ]
        assert self._all("account-persons", person, limit=2) == expected
        of_person = [row for row in expected if row["person"] == person]
        assert self._all("account-persons", person, person=person) == of_person
        for row in everybody:
            assert _standing(self.states[row["account"]], row["person"]) == row["standing"]


def _standing(account: Account, person: str) -> str:
    if person in account.profile.owners:
        return "owner"
    return "none" if account.mandate(person) is None else "mandate"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_person_can_read_is_what_the_domain_lets_them(bank: Service, clock: Clock, seed: int) -> None:
    world = World(bank, clock, seed)
    assert world.ends
    assert world.holds
    chance = Random(seed)
    times = world.times()
    for at in [*chance.sample(times, min(4, len(times))), times[-1]]:
        for person in world.people:
            world.check(person, at)


def test_interest_and_settlements_are_those_of_ones_own_accounts(bank: Service) -> None:
    settlement = settlement_sample.one(bank)
    merchant = found(bank.get(f"settlements/{settlement}"))["account"]
    bank.do("interest", {"account": merchant, "rate": "0.02", "basis": 365})
    owner = found(bank.get(f"accounts/{merchant}"))["owner"]
    owns, other = bank.customer(owner), bank.customer("prsn_somebody_else")
    for path in ("interest", "settlement-agreements", "settlements"):
        seen = {each["account"] for each in found(bank.get(path, token=owns, limit=200))["items"]}
        assert merchant in seen
        assert all(found(bank.get(f"accounts/{account}"))["owner"] == owner for account in seen)
        assert found(bank.get(path, token=other))["items"] == []
    ones = (f"interest/{merchant}", f"settlement-agreements/{merchant}", f"settlements/{settlement}")
    for path in (*ones, f"interest/{merchant}/credits"):
        assert bank.get(path, token=owns).status_code == 200
        hidden = bank.get(path, token=other)
        assert (hidden.status_code, hidden.json()["code"]) == (404, "unknown")


# Commands


@pytest.fixture(scope="module")
def ada(bank: Service) -> str:
    return bank.customer("prsn_ada")


@pytest.fixture(scope="module")
def mine(bank: Service) -> str:
    """An account of Ada with 100.00."""
    return bank.account("100.00", owner="prsn_ada", opened_on="2026-01-01")


@pytest.fixture(scope="module")
def foreign(bank: Service) -> str:
    return bank.account("100.00", owner="prsn_eve", maximum="105.00", opened_on="2026-01-01")


def test_a_customer_moves_what_is_theirs_and_learns_nothing_of_the_payee(
    bank: Service, ada: str, mine: str, foreign: str
) -> None:
    paid = accepted(bank.post("transfers", eur("1.00", source=mine, target=foreign), token=ada))
    assert set(paid["balances"]) == {mine}
    assert foreign not in paid["versions"]
    assert mine in paid["versions"]
    refused = bank.post("transfers", eur("9.00", source=mine, target=foreign), token=ada)
    assert (refused.status_code, refused.json()["code"]) == (422, "account_unseen")
    assert "105" not in refused.text


def about(account: str, mine: str) -> dict[str, Any]:
    """Commands of a customer about an account that is not theirs, by their path."""
    person = {"person": "prsn_bob"}
    return {
        "transfers": eur("1.00", source=account, target=mine),
        f"accounts/{account}/holds": eur("1.00"),
        f"accounts/{account}/holds/hold_1/release": {},
        f"accounts/{account}/mandates": {**person, "may_see": True, "currency": "EUR"},
        f"accounts/{account}/mandates/withdraw": person,
    }


@pytest.mark.parametrize("what", range(5))
def test_a_foreign_account_is_unknown_through_each_way_in(
    bank: Service, ada: str, mine: str, foreign: str, what: int
) -> None:
    """Alone, as a dry run, with an expected version, in a batch and in an atomic one."""
    before = bank.log_digest()
    answers = []
    for account in (foreign, MISSING, CASH):
        path, body = list(about(account, mine).items())[what]
        item = {"path": f"/v1/{path}", "body": body}
        tried = [
            bank.post(path, body, token=ada),
            bank.post(f"{path}?dry_run=true", body, token=ada),
            bank.post("batches?atomic=true", [item], token=ada),
            bank.post("batches?atomic=true&dry_run=true", [item], token=ada),
        ]
        if path != "transfers":
            tried.append(bank.post(path, body, token=ada, If_Match='"0"'))
        batches = [bank.post(f"batches{q}", [{**item, "key": "k"}], token=ada) for q in ("", "?dry_run=true")]
        assert [one.status_code for one in tried] == [404] * len(tried)
        assert [one.json()[0]["status"] for one in batches] == [404, 404]
        texts = [one.text for one in (*tried, *batches)]
        answers.append([text.replace(account, "ACCOUNT") for text in texts])
    assert answers[0] == answers[1] == answers[2]
    assert bank.log_digest() == before


def test_a_customer_expects_no_version_of_a_foreign_account(bank: Service, ada: str, mine: str, foreign: str) -> None:
    body = eur("1.00", source=mine, target=foreign)
    for stream in (foreign, MISSING):
        answer = bank.post("transfers", {**body, "expected_versions": {stream: 1}}, token=ada)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    item = {"path": f"/v1/accounts/{mine}/holds", "body": eur("1.00"), "if_match": '"1"'}
    assert bank.post("batches?atomic=true", [item], token=ada).status_code == 403
    stale = bank.post("transfers", {**body, "expected_versions": {mine: 1}}, token=ada)
    assert stale.json()["code"] == "versions_stale"


def test_an_owner_gives_a_mandate_that_ends(bank: Service, clock: Clock, ada: str, mine: str) -> None:
    bob = bank.customer("prsn_bob")
    end = NOW + timedelta(hours=1)
    mandate = {"person": "prsn_bob", "may_see": False, "currency": "EUR", "move_up_to": "5.00"}
    given = accepted(bank.post(f"accounts/{mine}/mandates", {**mandate, "until": end.isoformat()}, token=ada))
    assert (given["move_up_to"], datetime.fromisoformat(given["until"])) == ("5.00", end)
    other = bank.account(owner="prsn_bob")
    clock.now = end - MOMENT
    paid = accepted(bank.post("transfers", eur("5.00", source=mine, target=other), token=bob))
    assert set(paid["balances"]) == {other}
    exceeded = bank.post("transfers", eur("5.01", source=mine, target=other), token=bob)
    assert exceeded.json()["code"] == "mandate_exceeded"
    held = accepted(bank.post(f"accounts/{mine}/holds", eur("1.00"), token=bob))
    assert "balance" not in held
    assert bank.get(f"accounts/{mine}", token=bob).status_code == 404, "the mandate is not to see it"
    assert bank.post(f"accounts/{mine}/mandates", mandate, token=bob).status_code == 403
    clock.now = end
    assert bank.post("transfers", eur("1.00", source=mine, target=other), token=bob).status_code == 404


def test_an_owner_who_was_removed_by_another_process_moves_nothing(bank: Service) -> None:
    """The executor has the account in its cache. The append finds that it changed, and the command is decided again."""
    cleo = bank.customer("prsn_cleo")
    account, other = (bank.account("10.00", owner="prsn_cleo") for _ in range(2))
    accepted(bank.post("transfers", eur("1.00", source=account, target=other), token=cleo))
    with executor_on(bank.database) as another:
        for command in (AddOwner(account, "prsn_dora"), RemoveOwner(account, "prsn_cleo")):
            [answer] = another.execute([submission(command)])
            assert answer.outcome is ACCEPTED
    conflicts = bank.services.executor.statistics.conflicts
    assert bank.post("transfers", eur("1.00", source=account, target=other), token=cleo).status_code == 404
    assert bank.services.executor.statistics.conflicts == conflicts + 1


def test_an_owner_renames_and_closes_their_account(bank: Service, ada: str) -> None:
    bob = bank.customer("prsn_bob")
    mine, other = bank.account("10.00", owner="prsn_ada"), bank.account(owner="prsn_bob")
    accepted(bank.post(f"accounts/{mine}/details", {"name": "Ada King"}, token=ada), 200)
    assert found(bank.get(f"accounts/{mine}", token=ada))["name"] == "Ada King"
    for path, body in (("details", {"name": "Bob"}), ("close", {"reason": "r", "sweep_to": other})):
        assert bank.post(f"accounts/{mine}/{path}", body, token=bob).status_code == 404
    internal = bank.post(f"accounts/{mine}/close", {"reason": "r", "sweep_to": CASH}, token=ada)
    assert internal.status_code == 404
    closed = bank.post(f"accounts/{mine}/close", {"reason": "r", "sweep_to": other}, token=ada)
    assert set(accepted(closed, 200)["balances"]) == {mine}
    assert other not in closed.json()["versions"], "its version is not the customer's to know"
    assert found(bank.get(f"accounts/{other}", token=bob))["balance"] == "10.00"
    sweep = closed.json()["transaction"]
    assert found(bank.get(f"transactions/{sweep}", token=ada))["kind"] == "sweep"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("accounts/{mine}/deposits", eur("1.00")),
        ("accounts/{mine}/withdrawals", eur("1.00")),
        ("accounts/{mine}/fees", eur("1.00")),
        ("accounts/{mine}/freeze", {"reason": "mine"}),
        ("accounts/{mine}/reopen", {"reason": "mine"}),
        ("accounts/{mine}/metadata", {"set": {"branch": "12"}}),
        ("accounts/{mine}/owners", {"person": "prsn_bob"}),
        ("accounts/{mine}/owners/remove", {"person": "prsn_ada"}),
        ("transactions", {"entries": []}),
        ("accounts", {"type": "checking", "currency": "EUR", "owner": "prsn_ada", "name": "Ada"}),
    ],
)
def test_what_stays_with_staff(bank: Service, ada: str, mine: str, path: str, body: Any) -> None:
    path = path.format(mine=mine)
    assert bank.post(path, body, token=ada).status_code == 403
    [answer] = bank.post("batches", [{"path": f"/v1/{path}", "body": body, "key": "k"}], token=ada).json()
    assert answer["status"] in (403, 400)


@pytest.mark.parametrize("path", ["trial-balance", "refusals", "log", "orders", "posts", "processes", "lag"])
def test_what_is_closed_to_customers(bank: Service, ada: str, path: str) -> None:
    assert bank.get(path, token=ada, fresh=False).status_code == 403
