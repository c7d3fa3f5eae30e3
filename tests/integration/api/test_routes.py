"""Every route works: commands over HTTP are folded by the projections and read over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from api.queries.positions import cursor
from tests.samples.registry import ROUTES
from tests.support.answers import accepted, found
from tests.support.service import Service


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_takes_its_sample_once(service: Service, route: str) -> None:
    """The second request gets the answer of the first one."""
    request = ROUTES[route](service)
    path, key = request.path(route).removeprefix("/v1/"), f"sample of {route}"
    done = service.post(path, dict(request.body), role="operator", key=key, token=request.token)
    again = service.post(path, dict(request.body), role="operator", key=key, token=request.token)
    assert again.json() == accepted(done, done.status_code)
    assert (done.status_code, again.status_code) in {(200, 200), (201, 201)}


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
    ["accounts/acct_x", "accounts/acct_x/entries", "accounts/acct_x/movements", "accounts/acct_x/balance",
     "transactions/txn_x", "orders/ord_x", "posts/post_x", "posts/post_x/revisions"],
)  # fmt: skip
def test_a_thing_that_does_not_exist_is_unknown(service: Service, path: str) -> None:
    response = service.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "unknown")


def test_health_and_lag(service: Service) -> None:
    assert service.http.get("/v1/health/live").json() == {"status": "live"}
    assert service.http.get("/v1/health/ready").json()["status"] == "ready"
    found(service.get("accounts"))
    lag = found(service.get("lag", role="audit"))
    assert {each["projection"] for each in lag["projections"]} >= {"accounts", "entries", "posts"}
    assert all(each["stopped"] is None for each in lag["projections"])


ACTIONS = (
    "/v1/log/follow-tickets",
    "/v1/people/ask-for-mail",
    "/v1/people/{person}/second-factor/begin",
    "/v1/sessions/refresh",
)
"""What is posted and is no command."""


def test_the_description_has_an_example_and_the_problems_of_every_command(service: Service) -> None:
    described = service.http.get("/v1/openapi.json").json()
    schemas = described["components"]["schemas"]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
            if method == "post" and path not in ACTIONS:
                assert {"400", "401", "403", "404", "409", "412", "413", "422", "503"} <= operation["responses"].keys()
                taken = operation["requestBody"]["content"]["application/json"]["schema"]
                body = taken.get("items", taken)["$ref"].rsplit("/", 1)[1]
                assert schemas[body]["examples"], body
