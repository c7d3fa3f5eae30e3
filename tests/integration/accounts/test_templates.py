"""Templates and fee schedules over HTTP: the examples of `docs/howto/post-by-template.md`, bad input, and races."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from domain.accounts.posting import MOST_ENTRIES
from tests.samples.accounts.fee_schedule import defined
from tests.samples.accounts.template import sale
from tests.support.answers import accepted, found
from tests.support.service import Service

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "post-by-template.md"
EXAMPLES: dict[str, str] = dict(re.findall(r'```json title="([^"]+)"\n(.*?)```', HOW_TO.read_text("utf-8"), re.DOTALL))
CLIENTS = 8


def example(title: str, **accounts: str) -> Any:
    """A block of the page, with the ids of accounts in it."""
    text = EXAMPLES[title]
    for name, id in accounts.items():
        text = text.replace(f'"{name}"', f'"{id}"')
    return orjson.loads(text)


def defined_template(service: Service, **changes: Any) -> str:
    """The name of a new template."""
    body = {**sale(), **changes}
    name: str = accepted(service.post("templates", body, role="operator"))["template"]
    return name


def balance(service: Service, account: str) -> str:
    shown: str = found(service.get(f"accounts/{account}"))["balance"]
    return shown


def test_the_sale_of_the_page(service: Service) -> None:
    assert accepted(service.post("templates", example("marketplace-sale"), role="operator"))["number"] == 1
    for role in ("fees", "revenue"):
        service.post("accounts", {"type": role, "currency": "EUR", "name": role}, role="operator")
    buyer, seller = service.account("100.00"), service.account()
    body = example("a sale", BUYER=buyer, SELLER=seller)
    path = "templates/marketplace-sale/transactions"
    tried = accepted(service.post(f"{path}?dry_run=true", body))
    assert [entry["amount"] for entry in tried["entries"]] == ["33.33", "32.02", "1.08", "0.23"]
    assert balance(service, buyer) == "100.00", "a dry run posts nothing"
    posted = accepted(service.post(path, body))
    assert posted["entries"] == tried["entries"]
    assert (balance(service, buyer), balance(service, seller)) == ("66.67", "32.02")
    transaction = found(service.get(f"transactions/{posted['transaction']}"))
    assert (transaction["template"], transaction["template_version"]) == ("marketplace-sale", 1)
    assert transaction["entries"] == posted["entries"]
    shown = found(service.get("templates/marketplace-sale"))
    assert (shown["newest"], shown["active"], len(shown["definition"]["amounts"])) == (1, True, 3)
    again = {"name": "marketplace-sale", **shown["definition"]}
    refused = service.post("templates", again, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (422, "template_unchanged"), "it is shown as it is sent"


def test_the_salary_of_the_page(service: Service) -> None:
    accepted(service.post("templates", example("salary"), role="operator"))
    accounts = {name: service.account("2000.00") for name in ("FIRST", "SECOND", "EMPLOYEE", "OFFICE")}
    accepted(service.post("templates/salary/transactions", example("a month", **accounts)))
    balances = [balance(service, account) for account in accounts.values()]
    assert balances == ["898.77", "1449.38", "2906.17", "2745.68"]


def test_the_fee_of_the_page(service: Service) -> None:
    service.post("accounts", {"type": "fees", "currency": "EUR", "name": "fees"}, role="operator")
    accepted(service.post("fee-schedules", example("card-fee"), role="operator"))
    account = service.account("100.00")
    charged = accepted(service.post(f"accounts/{account}/fees", example("a fee")))
    assert (charged["fee"], charged["base"], charged["number"]) == ("18.75", "1500.00", 1)
    assert balance(service, account) == "81.25"
    accepted(service.post("fee-schedules/card-fee/retire", role="operator"), 200)
    over = service.post(f"accounts/{account}/fees", example("a fee"))
    assert (over.status_code, over.json()["code"]) == (422, "fee_schedule_retired")
    assert found(service.get("fee-schedules/card-fee"))["active"] is False
    [version] = found(service.get("fee-schedules/card-fee/versions"))["items"]
    assert version["terms"]["tiers"][0] == {"up_to": "1000.00", "percentage": "1.4"}


def test_versions_of_a_template(service: Service) -> None:
    name = defined_template(service)
    assert (
        accepted(service.post("templates", {**sale(), "name": name, "kind": "journal"}, role="operator"))["number"] == 2
    )
    accepted(service.post(f"templates/{name}/retire", {"number": 2}, role="operator"), 200)
    versions = found(service.get(f"templates/{name}/versions"))["items"]
    assert [(one["number"], one["kind"], one["active"]) for one in versions] == [
        (1, "payment", True),
        (2, "journal", False),
    ]
    assert found(service.get(f"templates/{name}"))["definition"]["kind"] == "payment"
    assert found(service.get(f"templates/{name}/versions/2"))["active"] is False
    assert service.get(f"templates/{name}/versions/3").status_code == 404
    accepted(service.post(f"templates/{name}/retire", {"number": 1}, role="operator"), 200)
    assert name in [one["name"] for one in found(service.get("templates", active=False))["items"]]
    assert name not in [one["name"] for one in found(service.get("templates", active=True))["items"]]


def test_only_operators_define_and_no_customer_posts(service: Service) -> None:
    name = defined_template(service)
    assert service.post("templates", sale(), role="command").status_code == 403
    assert service.post("fee-schedules", defined(), role="command").status_code == 403
    assert service.post(f"templates/{name}/transactions", {"parameters": {}}, role="report").status_code == 403


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"amounts": [{"name": "a", "kind": "sum", "plus": ["a"]}]}, 422, "template_cycle"),
        ({"entries": sale()["entries"][:2]}, 422, "template_unbalanced"),
        ({"entries": sale()["entries"][:1] * (MOST_ENTRIES + 1)}, 422, "template_size"),
        ({"name": "No Name"}, 422, "name_form"),
        ({"kind": "deposit"}, 400, "malformed"),
        ({"amounts": [{"name": "a", "kind": "fixed", "fixed": "1.00"}]}, 400, "malformed"),
        ({"amounts": [{"name": "a", "kind": "fee", "of": "gross", "fee": {"fixed": "1.00"}}]}, 400, "malformed"),
        ({"amounts": [{"name": "a", "kind": "percentage", "of": "gross", "percentage": "-1"}]}, 400, "malformed"),
    ],
)
def test_bad_definitions(service: Service, changes: dict[str, Any], status: int, code: str) -> None:
    before = service.log_digest()
    refused = service.post("templates", {**sale(), **changes}, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    if status == 400:
        assert service.log_digest() == before


@pytest.mark.parametrize(
    "body", [{}, {"amount": "1.00", "base": "1.00"}, {"schedule": "card"}, {"amount": "1.00", "schedule": "card"}]
)
def test_a_fee_is_an_amount_or_a_schedule_with_a_base(service: Service, body: dict[str, Any]) -> None:
    refused = service.post(f"accounts/{service.account()}/fees", {**body, "currency": "EUR"})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
    assert "give an amount, or a schedule and a base" in refused.json()["detail"]


def test_a_version_that_is_retired_while_clients_post(service: Service) -> None:
    """Each posting has the entries of a version that could be posted at its place in the log."""
    name = defined_template(service)
    second = {**sale(), "name": name, "kind": "journal"}
    accepted(service.post("templates", second, role="operator"))
    buyer, seller = service.account("100.00"), service.account()
    body = {"parameters": {"buyer": buyer, "seller": seller, "gross": "1.00"}}

    def act(number: int) -> dict[str, Any]:
        if number == CLIENTS // 2:
            return accepted(service.post(f"templates/{name}/retire", {"number": 2}, role="operator"), 200)
        return accepted(service.post(f"templates/{name}/transactions", body))

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(act, range(CLIENTS)))
    ordered = sorted(answers, key=lambda answer: int(answer["position"].rsplit(".", 1)[1]))
    retired = next(place for place, answer in enumerate(ordered) if "entries" not in answer)
    assert {answer["number"] for answer in ordered[:retired]} <= {2}
    assert {answer["number"] for answer in ordered[retired + 1 :]} <= {1}
