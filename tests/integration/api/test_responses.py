"""Every answer has exactly the described members with their types, for each route with real data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import pytest
from jsonschema_rs import Draft202012Validator

from api.accounts.reports import REPORTS
from eventstore.reads.recorder import Recorder
from tests.samples.accounts.account import MANDATE
from tests.samples.accounts.fee_schedule import defined
from tests.samples.accounts.periods import closed
from tests.samples.people.routes import KEY
from tests.samples.registry import OF_PEOPLE, ROUTES, SAMPLES
from tests.support.ledger import TODAY
from tests.support.long_batches import sent
from tests.support.memory_ledger import APPROVER_TOKEN
from tests.support.openapi import strict
from tests.support.people import administrators, signed_in
from tests.support.postgres import Server
from tests.support.sealing import sealing_on
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until

EUR = {"amount": "10.00", "currency": "EUR"}
LINE = {"sku": "85123A", "name": "Hanging heart", "quantity": 6, "unit_price": "2.55"}


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    """A service that gives tickets to follow the log."""
    with postgres18.database() as database, service_on(database, allowed_origins=("http://localhost",)) as running:
        yield running


class Description:
    """The description of a service, which allows no other members."""

    def __init__(self, service: Service) -> None:
        self.document: dict[str, Any] = strict(service.http.get("/v1/openapi.json").json())
        self.seen: set[tuple[str, str]] = set()
        self._paths = {
            path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path).replace(r"\{path\}", ".+")))
            for path in self.document["paths"]
        }

    def operations(self) -> set[tuple[str, str]]:
        """Method and path of each operation."""
        return {(method, path) for path, methods in self.document["paths"].items() for method in methods}

    def check(self, response: httpx.Response) -> None:
        """Check the body against the schema of its operation, status and media type."""
        method, asked = response.request.method.lower(), response.request.url.path
        fitting = [path for path, pattern in self._paths.items() if pattern.fullmatch(asked)]
        path = min(fitting, key=lambda path: ("{" in path, -len(path)))
        kind = response.headers["content-type"].split(";")[0]
        described = self.document["paths"][path][method]["responses"][str(response.status_code)]["content"][kind]
        if kind == "application/x-ndjson":
            for line in response.read().splitlines():
                self.fits(described["x-item-schema"], orjson.loads(line))
        elif described["schema"] == {"type": "string", "format": "binary"}:
            assert response.read()
        else:
            self.fits(described["schema"], orjson.loads(response.read()))
        if response.is_success:
            self.seen.add((method, path))

    def fits(self, schema: Any, value: Any) -> None:
        """Check a value against a schema."""
        whole = {**schema, "components": self.document["components"]}
        found = [error.message for error in Draft202012Validator(whole, validate_formats=True).iter_errors(value)]
        assert not found, (schema, value, found)


@contextmanager
def checking(service: Service) -> Iterator[Description]:
    """Compare every answer inside this context with the description."""
    description = Description(service)
    service.http.event_hooks["response"].append(description.check)
    try:
        yield description
    finally:
        service.http.event_hooks["response"].remove(description.check)


RECURS = (
    "/v1/policies/calendar",
    "/v1/recurring-payments",
    "/v1/settlement-agreements",
    "/v1/interest",
    "/v1/payrolls",
    "/v1/transfer-orders",
    "/v1/reconciliations",
    "/v1/webhooks",
)
"""Areas whose commands are sent as their samples."""


def of_what_recurs(service: Service) -> None:
    for route, sample in ROUTES.items():
        if route.startswith(RECURS):
            request = sample(service)
            service.post(request.path(route).removeprefix("/v1/"), request.body, role="operator")
    merchant, earning = (SAMPLES[kind].one(service).partition(":")[2] for kind in ("settlement_agreement", "interest"))
    payment, settlement, payroll, webhook, order = (
        SAMPLES[kind].one(service)
        for kind in ("recurring_payment", "settlement", "payroll", "webhook", "transfer_order")
    )
    session = f"reconciliations/{SAMPLES['reconciliation'].one(service)}"
    for read in (
        *("policies/calendar", "policies/calendar/versions"),
        *("recurring-payments", f"recurring-payments/{payment}", f"recurring-payments/{payment}/runs"),
        *("settlement-agreements", f"settlement-agreements/{merchant}", "settlements", f"settlements/{settlement}"),
        *("interest", f"interest/{earning}", f"interest/{earning}/credits"),
        *("payrolls", f"payrolls/{payroll}", f"payrolls/{payroll}/items"),
        *("transfer-orders", f"transfer-orders/{order}", f"transfer-orders/{order}/tries"),
        *("reconciliations", session, f"{session}/lines", f"{session}/entries", f"{session}/matches"),
        *("webhooks", f"webhooks/{webhook}", f"webhooks/{webhook}/deliveries", f"webhooks/{webhook}/progress"),
    ):
        service.get(read, role="operator")


def of_proofs(service: Service) -> None:
    account = service.account()
    service.post(f"accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}, role="operator", key="proven")
    with sealing_on(service.database) as sealing:
        sealing.sealer().turn()
        last = sealing.last()
    assert last is not None
    for path in (
        *("checkpoint", "keys", "witnesses", "tile/0/000", "tile/entries/000", f"inclusion?position={last.size}"),
        *(f"consistency?from=1&to={last.size}", f"head?stream={account}"),
        *("bundle/event/1", "bundle/command/proven", f"bundle/stream/{account}"),
        f"bundle/statement/{account}?from=2026-01-01&to=2026-01-31&min_position={service.last['position']}",
    ):
        target, _, asked = path.partition("?")
        parameters: dict[str, Any] = dict(parse_qsl(asked))
        service.get(f"proof/{target}", role="operator", **parameters)
    service.get("commands/proven", role="operator", receipt="true")


def test_every_answer_has_exactly_the_members_that_are_described(service: Service) -> None:
    with checking(service) as description:
        of_accounts(service)
        of_waiting_and_undoing(service)
        of_the_chart(service)
        of_currencies(service)
        of_orders(service)
        of_posts(service)
        of_batches(service)
        of_the_log(service, description)
        of_periods(service)
        of_activity(service)
        of_people(service)
        of_what_recurs(service)
        of_proofs(service)
    assert description.operations() - description.seen == set(), "operations without a successful answer"


def of_waiting_and_undoing(service: Service) -> None:
    """Limits, transactions that wait and what becomes of them, and what undoes the posted ones."""
    account, other = service.account("100.00"), service.account("100.00")
    limits = {"currency": "EUR", "minimum": "0", "daily": "50.00", "reason": "r"}
    service.post(f"accounts/{account}/limits", limits, role="operator")
    both = EUR | {"source": account, "target": other}
    entries = [EUR | {"account": account, "side": "debit"}, EUR | {"account": other, "side": "credit"}]
    for end, awaits, body, token in (
        ("post", "request", {}, None),
        ("cancel", "request", {"reason": "r"}, None),
        ("approve", "approval", {}, APPROVER_TOKEN),
        ("reject", "approval", {"reason": "r"}, APPROVER_TOKEN),
    ):
        id = service.post("transfers/pending", both | {"awaits": awaits}).json()["transaction"]
        service.post(f"transactions/{id}/{end}", body, token=token)
    service.post("transactions/pending", {"entries": entries})
    moved = service.post("transfers", both).json()["transaction"]
    part = {"amount": "0.10", "currency": "EUR", "reason": "r"}
    service.post(f"transactions/{moved}/refund", part | {"fee_rate": "0"})
    service.post(f"transactions/{moved}/chargeback", part)
    service.post(f"transactions/{moved}/reverse", {"reason": "r"})
    adjustment = EUR | {"side": "credit", "against": "revenue", "reason": "r"}
    service.post(f"accounts/{account}/adjustments", adjustment, role="operator")
    service.get(f"accounts/{account}/limit-usage")


def of_accounts(service: Service) -> None:
    account, other = service.account("100.00"), service.account(maximum="500.00")
    hold = service.post(f"accounts/{account}/holds", EUR).json()["hold"]
    released = service.post(f"accounts/{account}/holds", EUR).json()["hold"]
    service.post(f"accounts/{account}/holds/{hold}/capture", {**EUR, "target": other})
    service.get("holds", limit=1)
    service.get(f"holds/{hold}")
    service.post(f"accounts/{account}/holds/{released}/release")
    service.post(f"accounts/{account}/withdrawals", EUR | {"reference": "r", "description": "d"})
    service.post(f"accounts/{account}/fees", EUR)
    of_templates(service)
    service.post("transfers", EUR | {"source": account, "target": other}, key="accepted")
    entries = [EUR | {"account": account, "side": "credit"}, EUR | {"account": other, "side": "debit"}]
    transaction = service.post("transactions", {"entries": entries}).json()["transaction"]
    service.post("transfers", {"source": other, "target": account, "amount": "99.00", "currency": "EUR"}, key="refused")
    service.post(
        "transfers", EUR | {"source": account, "target": other, "expected_versions": {account: 1}}, key="stale"
    )
    service.post(f"accounts/{account}/owners", {"person": "prsn_1"})
    service.post(f"accounts/{account}/owners/remove", {"person": "prsn_1"})
    service.post(f"accounts/{account}/mandates", MANDATE)
    service.get("account-persons", limit=1)
    service.get("account-persons", account=account, standing="mandate")
    service.post(f"accounts/{account}/mandates/withdraw", {"person": "prsn_1"})
    for command in ("freeze", "unfreeze"):
        service.post(f"accounts/{account}/{command}", {"reason": "r"})
    service.post(f"accounts/{account}/details", {"name": "Ada King"})
    service.post(f"accounts/{account}/metadata", {"set": {"branch": "12"}})
    service.get("accounts", metadata="branch=12")
    for closing in ({}, {"sweep_to": account}):
        closed = service.account("1.00" if closing else None)
        service.post(f"accounts/{closed}/close", {"reason": "r", **closing})
        service.post(f"accounts/{closed}/reopen", {"reason": "r"}, role="operator")
    held = service.account("10.00")
    service.post(f"accounts/{held}/holds", EUR)
    service.post(f"accounts/{held}/close-when-free", {"reason": "r", "sweep_to": account})
    service.post(f"accounts/{held}/cancel-closing", {"reason": "r"})
    service.get(f"transactions/{transaction}/history")
    service.get("stuck")
    service.get("replay", role="audit")
    service.get("replay/causes", role="audit", position="1")
    service.get("replay/refusal", role="audit", key="refused", actor="the-command")
    today: dict[str, Any] = {"from": TODAY.isoformat(), "to": TODAY.isoformat()}
    service.get("reports", names=",".join(REPORTS), **today)
    for path in ("accounts", f"accounts/{account}", f"accounts/{account}/entries", f"accounts/{account}/movements"):
        service.get(path)
    period: dict[str, Any] = {"from": "2020-01-01", "to": "2020-12-31"}
    service.get(f"accounts/{account}/balance", value_date=TODAY.isoformat())
    service.get(f"accounts/{account}/daily-balances", **period)
    service.get(f"accounts/{account}/statement", **{**period, "to": "2099-12-31"}, limit=1)
    service.get("accounts", limit=1)
    for path in ("transactions", f"transactions/{transaction}", "trial-balance", "accounts/acct_x"):
        service.get(path)


def of_the_chart(service: Service) -> None:
    account = service.account("10.00")
    for node, parent in (("root", None), ("leaf", "root"), ("gone", None)):
        of_type = {"type": "liability"} if parent is None else {"parent": parent}
        service.post("chart/nodes", {"node": node, "title": "A node", **of_type}, role="operator")
    service.post("chart/nodes/leaf/change", {"title": "Leaves", "kinds": ["fee"]}, role="operator")
    service.post("chart/nodes/gone/move", {"parent": "root"}, role="operator")
    service.post("chart/nodes/gone/remove", role="operator")
    service.post(f"accounts/{account}/attach", {"node": "leaf"}, role="operator")
    for path in ("chart", "chart/nodes/leaf", "chart/nodes/gone", "chart/nodes/leaf/accounts", "chart/balances"):
        service.get(path)
    service.get("chart/balances", value_date=TODAY.isoformat(), currency="EUR")
    service.post(f"accounts/{account}/detach", role="operator")


def of_periods(service: Service) -> None:
    path = "/v1/periods/{period}/close-year"
    closing = ROUTES[path](service)
    service.post(closing.path(path).removeprefix("/v1/"), dict(closing.body), role="operator", token=closing.token)
    period = closed(service)
    service.get("periods", status="closed", name="none")
    for path in ("periods", f"periods/{period}", "periods/per_x"):
        service.get(path)


def of_currencies(service: Service) -> None:
    for path in ("/v1/quotes", "/v1/conversions", "/v1/rates", "/v1/rates/{pair}/withdraw"):
        request = ROUTES[path](service)
        done = service.post(
            request.path(path).removeprefix("/v1/"), dict(request.body), role="operator", token=request.token
        )
        assert done.status_code in (200, 201), done.text
        if path == "/v1/quotes":
            service.get(f"quotes/{done.json()['quote']}")
    service.get("rates", pair="GBP:CHF", current=True)
    for path in ("rates", "conversions"):
        service.get(path)


def of_templates(service: Service) -> None:
    """Fee schedules and templates: defined, used, retired and read."""
    for path in ("fee-schedules", "fee-schedules/{schedule}/retire", "templates", "templates/{template}/retire"):
        request = ROUTES[f"/v1/{path}"](service)
        service.post(request.path(path), dict(request.body), role="operator", token=request.token)
    service.post("fee-schedules", {**defined(), "name": "card"}, role="operator")
    fee = {"schedule": "card", "base": "100.00", "currency": "EUR"}
    service.post(f"accounts/{service.account('100.00')}/fees", fee)
    posting = ROUTES["/v1/templates/{template}/transactions"](service)
    service.post(posting.path("templates/{template}/transactions"), dict(posting.body))
    name = posting.names["template"]
    for path in ("fee-schedules", "fee-schedules/card", "fee-schedules/card/versions", "templates"):
        service.get(path, limit=200) if path.endswith("s") else service.get(path)
    for path in ("", "/versions", "/versions/1"):
        service.get(f"templates/{name}{path}")


def of_people(service: Service) -> None:
    for path, make in OF_PEOPLE.items():
        request = make(service)
        done = service.post(request.path(path).removeprefix("/v1/"), dict(request.body), token=request.token)
        assert done.status_code in (200, 201), done.text
    service.get("approvals", role="audit")
    service.get("approvals", role="audit", outcome="open", action="person.export", limit=1)
    ada, _ = administrators(service)
    ada.own("api-keys", KEY)
    for path in ("people", "me", "policies/sign-in"):
        ada.get(path)
    for path in ("", "/sessions", "/api-keys"):
        ada.get(f"people/{ada.id}{path}")
    fresh = service.http.post("/v1/sessions/refresh", json={"refresh_token": ada.refresh})
    ada.keep(fresh)
    service.http.post("/v1/people/ask-for-mail", json={"name": ada.username, "purpose": "reset"})
    ada.own("second-factor/begin", {"password": ada.password})


def of_activity(service: Service) -> None:
    recorder = service.services.recorder
    assert isinstance(recorder, Recorder)
    person = signed_in(service)
    person.own("settings", {"time_zone": "Europe/Prague", "language": "cs"})
    person.own("consents/withdraw", {"purpose": "newsletter"})  # it is refused
    person.get(f"people/{person.id}/activity")
    service.get(f"people/{person.id}/activity", role="audit", limit=1)
    wait_until(lambda: recorder.statistics().waiting == 0, "reads were not written")
    for path in (f"people/{person.id}/reads", "reads", "people/prsn_x/reads", "people/prsn_x/activity"):
        service.get(path, role="audit")
    person.get(f"people/{person.id}/sign-ins")
    person.post(f"sessions/{person.session}/end")
    service.get(f"people/{person.id}/sign-ins", role="audit")


def of_orders(service: Service) -> None:
    account = service.account("100.00")
    body = {"customer": "c", "currency": "EUR", "lines": [LINE], "reference": "r"}
    paid, cancelled = (service.post("orders", body).json()["order"] for _ in range(2))
    service.post(f"orders/{paid}/confirm")
    service.post(f"orders/{paid}/pay", {"account": account})
    service.post(f"orders/{cancelled}/cancel", {"reason": "r"})
    service.get("orders")
    service.get(f"orders/{paid}")


def of_posts(service: Service) -> None:
    post = service.post("posts", {"author": "a", "title": "t", "body": "b"}).json()["post"]
    service.post(f"posts/{post}/revisions", {"title": "t", "body": "c", "summary": "s"})
    service.post(f"posts/{post}/publish", {"slug": "s"})
    service.post(f"posts/{post}/archive")
    service.post(f"posts/{post}/delete", {"reason": "r"})
    service.get("posts", status="deleted")
    service.post(f"posts/{post}/restore")
    for path in ("posts", f"posts/{post}", f"posts/{post}/revisions"):
        service.get(path)


def of_batches(service: Service) -> None:
    account = service.account("100.00")
    path = f"/v1/accounts/{account}/deposits"
    items = [
        {"path": path, "key": "item-1", "body": EUR},
        {"path": path, "key": "item-1", "body": EUR},
        {"path": path, "key": "item-2", "body": EUR | {"currency": "USD"}},
        {"path": path, "body": EUR},
    ]
    batch = service.post("batches", items, key="recorded").headers["Daybook-Batch"]
    for read in (f"batches/{batch}", f"batches/{batch}/items"):
        service.get(read, role="operator")
    long = sent(service, items, 2)
    for read in ("long-batches", f"long-batches/{long}", f"long-batches/{long}/items"):
        service.get(read, role="operator")
    service.post(f"long-batches/{long}/stop", {"reason": "Done"})
    service.post("batches?atomic=true", [{"path": path, "body": EUR}, {"path": path, "body": EUR}])
    headers = {"Authorization": f"Bearer {TOKENS['command']}", "Content-Type": "application/x-ndjson"}
    service.http.post("/v1/batches", content=b"\n".join(map(orjson.dumps, items)), headers=headers)


def of_risk(service: Service) -> None:
    """The rules are on for one transaction, which they watch."""
    rules = {"hourly": {"points": 20, "count": 0}}
    one, two = service.account("10.00"), service.account()
    service.post("policies/risk", {"on": True, **rules}, role="operator")
    service.post("transfers", {"source": one, "target": two, "amount": "1.00", "currency": "EUR"})
    service.post("policies/risk", {"on": False, **rules}, role="operator")
    service.get("risk-assessments", account=one, action="monitor")


def of_the_log(service: Service, description: Description) -> None:
    for key in ("accepted", "refused", "stale"):
        service.get(f"commands/{key}", role="command")
    page = service.get("log", role="audit").json()
    service.get(f"streams/{page['events'][0]['stream']}", role="audit", limit=1)
    service.get("log", role="audit", after=page["head"])
    service.post("policies/posting", {"most_days_back": 90}, role="operator")
    of_risk(service)
    for path in ("policies/posting", "policies/posting/versions", "policies/risk", "policies/risk/versions"):
        service.get(path)
    for path in OF_PROCESSES_AND_MAILS:
        request = ROUTES[path](service)
        service.post(request.path(path).removeprefix("/v1/"), dict(request.body), role="operator", token=request.token)
    processes = service.get("processes").json()["items"]
    service.get(f"processes/{processes[0]['process']}")
    mails = service.get("mails", role="operator").json()["items"]
    service.get(f"mails/{mails[0]['mail']}", role="operator")
    refusals = service.get("refusals").json()["items"]
    service.get(f"refusals/{refusals[0]['refusal']}")
    for path in ("health/live", "health/ready", "lag"):
        service.get(path)
    service.post("log/follow-tickets", role="operator")
    path = "/v1/log/follow"
    followed = description.document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
    description.fits(followed["x-item-schema"], first_event(service, path))
    description.seen.add(("get", path))


OF_PROCESSES_AND_MAILS = (
    "/v1/posts/{post}/schedule",
    "/v1/posts/{post}/unschedule",
    "/v1/processes/{process}/retry",
    "/v1/processes/{process}/resolve",
    "/v1/mails/{mail}/retry",
)


def first_event(service: Service, path: str) -> dict[str, Any]:
    """The members of the first server-sent event, with parsed data."""
    members: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {TOKENS['audit']}"}
    with httpx.stream("GET", service.http.base_url.join(path), headers=headers) as response:
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name in ("id", "event", "data"):
                members[name] = orjson.loads(value) if name == "data" else value
            elif members and not line:
                return members
    raise AssertionError("the stream ended before its first event")
