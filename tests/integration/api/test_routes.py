"""Every route works: commands over HTTP are folded by the projections and read over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from api.queries.positions import cursor
from domain.accounts.numbers import is_account_number
from domain.accounts.posting import internal_account
from tests.samples.registry import ROUTES
from tests.support.ledger import TODAY
from tests.support.service import Service


def accepted(response: Any, status: int = 201) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert body["outcome"] == "accepted"
    assert body["position"] == response.headers["Daybook-Position"]
    return body


def found(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def eur(amount: str, **more: Any) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR", **more}


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_takes_its_sample_once(service: Service, route: str) -> None:
    """The second request gets the answer of the first one."""
    request = ROUTES[route](service)
    path, key = request.path(route).removeprefix("/v1/"), f"sample of {route}"
    done = service.post(path, dict(request.body), role="operator", key=key)
    again = service.post(path, dict(request.body), role="operator", key=key)
    assert again.json() == accepted(done, done.status_code)
    assert (done.status_code, again.status_code) in {(200, 200), (201, 201)}


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


def test_orders(service: Service) -> None:
    account = service.account("50.00")
    lines = [{"sku": "85123A", "name": "Hanging heart", "quantity": 6, "unit_price": "2.55"}]
    body = {"customer": "customer-9", "currency": "EUR", "lines": lines}
    response = service.post("orders", body)
    order = accepted(response)["order"]
    assert response.headers["ETag"] == '"1"'
    accepted(service.post(f"orders/{order}/confirm"), 200)
    paid = accepted(service.post(f"orders/{order}/pay", {"account": account}))
    other = accepted(service.post("orders", body))["order"]
    accepted(service.post(f"orders/{other}/cancel", {"reason": "changed my mind"}), 200)

    read = found(service.get(f"orders/{order}"))
    wanted = {"status": "paid", "total": "15.30", "transaction": paid["transaction"], "lines": lines}
    assert wanted.items() <= read.items()
    assert found(service.get("orders", customer="customer-9", status="paid"))["items"] == [read]
    assert found(service.get("orders", status="cancelled"))["items"][-1]["reason"] == "changed my mind"
    assert found(service.get("transactions", reference=order))["items"][0]["kind"] == "payment"


def test_posts(service: Service) -> None:
    post = accepted(service.post("posts", {"author": "author-9", "title": "One", "body": "first"}))["post"]
    accepted(service.post(f"posts/{post}/revisions", {"title": "Two", "body": "second", "summary": "better"}))
    accepted(service.post(f"posts/{post}/publish", {"slug": "on-ledgers"}), 200)
    read = found(service.get(f"posts/{post}"))
    assert {"status": "published", "slug": "on-ledgers", "title": "Two", "revision": 2}.items() <= read.items()
    assert found(service.get("posts", slug="on-ledgers"))["items"] == [read]
    assert found(service.get("posts", slug="on-ledgers", author="another"))["items"] == []
    for verb, body, status in (
        ("archive", {}, "archived"),
        ("delete", {"reason": "out of date"}, "deleted"),
        ("restore", {}, "archived"),
    ):
        accepted(service.post(f"posts/{post}/{verb}", body), 200)
        [listed] = found(service.get("posts", author="author-9", status=status))["items"]
        assert listed["status"] == status
    assert [each["title"] for each in found(service.get(f"posts/{post}/revisions"))["items"]] == ["One", "Two"]


def test_a_deleted_post_has_no_address_and_is_only_in_lists_of_deleted_posts(service: Service) -> None:
    post = accepted(service.post("posts", {"author": "author-8", "title": "Secret", "body": "text"}))["post"]
    accepted(service.post(f"posts/{post}/publish", {"slug": "a-mistake"}), 200)
    by_slug, by_author = {"slug": "a-mistake"}, {"author": "author-8"}
    shown = [by_slug, by_author, {**by_slug, "status": "published"}, {**by_author, "status": "published"}]
    asked = {**by_author, "status": "deleted"}
    hidden = {**by_slug, "status": "deleted"}

    def listed(filters: dict[str, Any]) -> list[str]:
        return [each["post"] for each in found(service.get("posts", **filters))["items"]]

    assert [listed(filters) for filters in shown] == [[post]] * 4
    accepted(service.post(f"posts/{post}/delete", {"reason": "not meant for print"}), 200)
    assert [listed(filters) for filters in (*shown, hidden)] == [[]] * 5
    assert listed(asked) == [post]
    assert post not in [each["post"] for each in found(service.get("posts", limit=200))["items"]]
    assert found(service.get(f"posts/{post}"))["status"] == "deleted"
    assert len(found(service.get(f"posts/{post}/revisions"))["items"]) == 1
    accepted(service.post(f"posts/{post}/restore"), 200)
    assert [listed(filters) for filters in shown] == [[post]] * 4


def test_pages_follow_their_cursor_to_the_end(service: Service) -> None:
    opened = [service.account(owner="owner-of-many") for _ in range(5)]
    seen: list[str] = []
    more: dict[str, Any] = {}
    while True:
        listed = found(service.get("accounts", owner="owner-of-many", limit=2, **more))
        seen += [each["account"] for each in listed["items"]]
        assert len(listed["items"]) <= 2
        if listed["next"] is None:
            break
        more = {"cursor": listed["next"]}
    assert seen == opened


LINE = {"sku": "s", "name": "n", "quantity": 1, "unit_price": "1.00"}


@pytest.mark.parametrize(
    ("path", "filters", "body"),
    [
        ("accounts", {"owner": "polled"}, {"type": "savings", "currency": "EUR", "owner": "polled", "name": "P"}),
        ("orders", {"customer": "polled"}, {"customer": "polled", "currency": "EUR", "lines": [LINE]}),
        ("posts", {"author": "polled"}, {"author": "polled", "title": "T", "body": "B"}),
    ],
)
def test_lists_are_polled_by_position(service: Service, path: str, filters: Any, body: Any) -> None:
    """A client needs no cursor: it continues after the position of the last item."""
    name = path.removesuffix("s")
    after, seen, made = 0, [], []
    for _ in range(3):
        made.append(accepted(service.post(path, body))[name])
        items = found(service.get(path, after=after, **filters))["items"]
        seen += [item[name] for item in items]
        after = max(item["position"] for item in items)
        assert found(service.get(path, after=after, **filters)) == {"items": [], "next": None}
    assert seen == made
    old = service.get(path, cursor=cursor(made[0]))
    assert (old.status_code, old.json()["code"]) == (400, "malformed")
    assert "start again without a cursor" in old.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["accounts/acct_x", "accounts/acct_x/entries", "accounts/acct_x/movements", "transactions/txn_x", "orders/ord_x",
     "posts/post_x", "posts/post_x/revisions"],
)  # fmt: skip
def test_a_thing_that_does_not_exist_is_unknown(service: Service, path: str) -> None:
    response = service.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "unknown")


def test_an_account_just_opened_has_an_empty_list_of_entries(service: Service) -> None:
    account = service.account()
    assert found(service.get(f"accounts/{account}/entries")) == {"items": [], "next": None}
    assert found(service.get(f"accounts/{account}/movements")) == {"items": [], "next": None}


def test_health_and_lag(service: Service) -> None:
    assert service.http.get("/v1/health/live").json() == {"status": "live"}
    assert service.http.get("/v1/health/ready").json()["status"] == "ready"
    found(service.get("accounts"))
    lag = found(service.get("lag", role="audit"))
    assert {each["projection"] for each in lag["projections"]} >= {"accounts", "entries", "posts"}
    assert all(each["stopped"] is None for each in lag["projections"])


def test_the_description_has_an_example_and_the_problems_of_every_command(service: Service) -> None:
    described = service.http.get("/v1/openapi.json").json()
    schemas = described["components"]["schemas"]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
            if method == "post" and path != "/v1/log/follow-tickets":
                assert {"400", "401", "403", "404", "409", "412", "413", "422", "503"} <= operation["responses"].keys()
                taken = operation["requestBody"]["content"]["application/json"]["schema"]
                body = taken.get("items", taken)["$ref"].rsplit("/", 1)[1]
                assert schemas[body]["examples"], body


def test_only_an_operator_may_change_internal_accounts(service: Service) -> None:
    body = {"type": "interest", "currency": "EUR", "name": "Interest"}
    refused = service.post("accounts", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    opened = accepted(service.post("accounts", body, role="operator"))
    assert opened["account"] == internal_account("main", "interest", "EUR")
    assert found(service.get(f"accounts/{opened['account']}"))["minimum"] is None
