"""The access log: reads of personal data, actions of operators, and refusals by a route."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from api import registry
from api.gateway.access_log import LOGGER
from api.gateway.routes import RouteTable
from tests.integration.api.test_batches import item, send
from tests.support.ledger import NOW
from tests.support.service import TOKENS, Service

NOT_PERSONAL = {
    "/v1/policies/calendar",
    "/v1/policies/calendar/versions",
    "/v1/mails",
    "/v1/mails/{mail}",
    "/v1/processes",
    "/v1/processes/{process}",
    "/v1/refusals",
    "/v1/chart",
    "/v1/chart/balances",
    "/v1/chart/nodes/{node}",
    "/v1/chart/nodes/{node}/accounts",
    "/v1/fee-schedules",
    "/v1/fee-schedules/{schedule}",
    "/v1/fee-schedules/{schedule}/versions",
    "/v1/policies/posting",
    "/v1/policies/posting/versions",
    "/v1/policies/risk",
    "/v1/policies/risk/versions",
    "/v1/proof/checkpoint",
    "/v1/proof/consistency",
    "/v1/proof/inclusion",
    "/v1/proof/keys",
    "/v1/proof/tile/{path:path}",
    "/v1/proof/witnesses",
    "/v1/rates",
    "/v1/policies/sign-in",
    "/v1/me",
    "/v1/refusals/{refusal}",
    "/v1/templates",
    "/v1/templates/{template}",
    "/v1/templates/{template}/versions",
    "/v1/templates/{template}/versions/{number}",
    "/v1/trial-balance",
    "/v1/reports",
    "/v1/stuck",
    "/v1/webhooks",
    "/v1/webhooks/{webhook}",
    "/v1/webhooks/{webhook}/progress",
    "/v1/webhooks/{webhook}/deliveries",
    "/v1/lag",
    "/v1/health/live",
    "/v1/health/ready",
}
"""Reads of data about the ledger and its processes, and not about persons."""


class Lines(logging.Handler):
    """The lines of the access log."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def take(self) -> list[dict[str, Any]]:
        """The lines since the last call."""
        taken, self.texts = self.texts, []
        assert not any(token in text for token in TOKENS.values() for text in taken)
        return [json.loads(text) for text in taken]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, handler = logging.getLogger(LOGGER), Lines()
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield handler
    logger.removeHandler(handler)
    logger.setLevel("NOTSET")


def test_every_read_route_declares_whether_its_data_is_personal() -> None:
    reads = [declared for declared in RouteTable(registry.routes()).routes if "GET" in (declared.route.methods or ())]
    assert len(reads) > 15
    assert {declared.route.path for declared in reads if not declared.declaration.personal} == NOT_PERSONAL


def test_a_read_of_personal_data_is_a_line(service: Service, lines: Lines) -> None:
    service.get("accounts", owner="customer-1", role="report", fresh=False)
    [line] = lines.take()
    assert line == {
        "at": NOW.isoformat(), "event": "personal_data.read", "principal": "the-report", "role": "report",
        "address": "127.0.0.1", "method": "GET", "route": "/v1/accounts", "ids": {}, "status": 200,
    }  # fmt: skip
    for path in ("accounts/acct_x", "streams/acct_x", "commands/key-x", "posts/post_x/revisions", "log"):
        service.get(path, role="operator")
        [line] = lines.take()
        assert line["route"].replace(":path", "").format(**line["ids"]) == f"/v1/{path}"
        assert (line["principal"], line["status"]) == ("the-operator", 200 if path == "log" else 404)
    for path in ("trial-balance", "lag", "health/live"):
        service.get(path, fresh=False)
    assert lines.take() == []


def test_an_action_of_an_operator_is_a_line_and_one_of_a_client_is_not(service: Service, lines: Lines) -> None:
    account = service.account("1.00")
    service.post("transfers", {"source": account})
    assert lines.take() == []
    done = service.post(f"accounts/{account}/freeze", {"reason": "secret"}, role="operator")
    refused = service.post(f"accounts/{account}/freeze", {"reason": "secret"}, role="operator")
    wrong = service.post(f"accounts/{account}/freeze", {"why": "secret"}, role="operator")
    service.post("nowhere", role="operator")
    taken = lines.take()
    assert [line["status"] for line in taken] == [200, 422, 400]
    assert [line.get("position") for line in taken] == [
        done.headers["Daybook-Position"],
        refused.headers["Daybook-Position"],
        None,
    ]
    assert wrong.status_code == 400
    for line in taken:
        wanted = {"event": "operator.command", "principal": "the-operator", "route": "/v1/accounts/{account}/freeze"}
        assert wanted.items() <= line.items()
        assert line["ids"] == {"account": account}
    assert "secret" not in json.dumps(taken)


def test_a_batch_of_an_operator_is_a_line_with_the_name_of_its_events(service: Service, lines: Lines) -> None:
    account = service.account()
    one = item(f"accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"})
    assert send(service, json.dumps([one]).encode(), role="operator").json()[0]["status"] == 201
    [line] = lines.take()
    assert (line["event"], line["route"], line["items"]) == ("operator.command", "/v1/batches", 1)
    events = service.get(f"streams/{account}", role="audit").json()["events"]
    assert events[-1]["metadata"]["correlation"] == line["batch"]


def test_a_refusal_by_a_route_is_a_line(service: Service, lines: Lines) -> None:
    internal = {"type": "penalties", "currency": "EUR", "name": "Penalties"}
    assert service.post("accounts", internal).status_code == 403
    assert service.get("commands/k", role="command", actor="the-operator").status_code == 403
    send(service, json.dumps([item("accounts", internal), item("accounts", internal)]).encode())
    send(
        service,
        json.dumps([{"path": "/v1/accounts", "body": internal}]).encode(),
        headers={"Idempotency-Key": "k"},
        params={"atomic": True},
    )
    taken = lines.take()
    assert [(line["event"], line["route"], line["principal"], line["code"]) for line in taken] == [
        ("access.refused", route, "the-command", "forbidden")
        for route in ("/v1/accounts", "/v1/commands/{key:path}", "/v1/batches", "/v1/batches")
    ]
    assert [line.get("items") for line in taken] == [None, None, 2, None]
