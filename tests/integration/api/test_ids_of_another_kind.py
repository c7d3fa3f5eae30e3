"""A command that names a thing of another kind names nothing: 404, whatever stream has that id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from api import registry
from api.commands.routes import CommandRoute
from api.gateway.routes import RouteTable
from tests.support.service import Service

ONE = {"amount": "1.00", "currency": "EUR"}
TOLD = {**ONE, "description": "rent"}
BECAUSE = {"reason": "because"}


@dataclass(frozen=True)
class Things:
    """One of each kind, and what a command needs beside it."""

    ids: dict[str, str]  # by kind
    hold: str
    order: str  # confirmed


Make = Callable[[str, Things], tuple[str, dict[str, Any]]]


class Naming(NamedTuple):
    """A route that names a thing: of which kind, and the request with that id in its place."""

    route: str
    kind: str
    request: Make


def of_account(verb: str, body: dict[str, Any]) -> Naming:
    return Naming(f"/v1/accounts/{{account}}/{verb}", "account", lambda id, _: (f"accounts/{id}/{verb}", body))


def of_order(verb: str, body: dict[str, Any]) -> Naming:
    return Naming(f"/v1/orders/{{order}}/{verb}", "order", lambda id, _: (f"orders/{id}/{verb}", body))


def of_post(verb: str, body: dict[str, Any]) -> Naming:
    return Naming(f"/v1/posts/{{post}}/{verb}", "post", lambda id, _: (f"posts/{id}/{verb}", body))


def entry(account: str, side: str) -> dict[str, Any]:
    return {"account": account, "side": side, **ONE}


RELEASE, CAPTURE = "/v1/accounts/{account}/holds/{hold}/release", "/v1/accounts/{account}/holds/{hold}/capture"
TRANSFER, POST, PAY = "/v1/transfers", "/v1/transactions", "/v1/orders/{order}/pay"
A = "account"

NAMINGS = [
    *(of_account(verb, ONE) for verb in ("deposits", "withdrawals", "fees", "holds")),
    *(of_account(verb, BECAUSE) for verb in ("freeze", "unfreeze", "close")),
    Naming(RELEASE, A, lambda id, t: (f"accounts/{id}/holds/{t.hold}/release", {})),
    Naming(CAPTURE, A, lambda id, t: (f"accounts/{id}/holds/{t.hold}/capture", {**ONE, "target": t.ids[A]})),
    Naming(CAPTURE, A, lambda id, t: (f"accounts/{t.ids[A]}/holds/{t.hold}/capture", {**ONE, "target": id})),
    Naming(TRANSFER, A, lambda id, t: ("transfers", {**TOLD, "source": id, "target": t.ids[A]})),
    Naming(TRANSFER, A, lambda id, t: ("transfers", {**TOLD, "source": t.ids[A], "target": id})),
    Naming(POST, A, lambda id, t: ("transactions", {"entries": [entry(id, "debit"), entry(t.ids[A], "credit")]})),
    Naming(POST, A, lambda id, t: ("transactions", {"entries": [entry(t.ids[A], "debit"), entry(id, "credit")]})),
    of_order("confirm", {}),
    of_order("cancel", BECAUSE),
    Naming(PAY, "order", lambda id, t: (f"orders/{id}/pay", {"account": t.ids[A]})),
    Naming(PAY, A, lambda id, t: (f"orders/{t.order}/pay", {"account": id})),
    of_post("revisions", {"title": "t", "body": "b"}),
    of_post("publish", {"slug": "another-kind"}),
    *(of_post(verb, {}) for verb in ("archive", "restore")),
    of_post("delete", BECAUSE),
]
MAKING = {"/v1/accounts", "/v1/orders", "/v1/posts"}
"""Routes that name nothing that is there already."""


@pytest.fixture(scope="module")
def things(service: Service) -> Things:
    account = service.account("10.00")
    hold = service.post(f"accounts/{account}/holds", {"amount": "5.00", "currency": "EUR"}).json()["hold"]
    done = service.post(f"accounts/{account}/deposits", ONE).json()
    lines = [{"sku": "sku", "name": "thing", "quantity": 1, "unit_price": "1.00"}]
    placed, order = (
        service.post("orders", {"customer": "c", "currency": "EUR", "lines": lines}).json()["order"] for _ in range(2)
    )
    assert service.post(f"orders/{order}/confirm").status_code == 200
    post = service.post("posts", {"author": "a", "title": "t", "body": "b"}).json()["post"]
    assert service.post(f"posts/{post}/publish", {"slug": "claimed"}).status_code == 200
    ids = {A: account, "transaction": done["transaction"], "order": placed, "post": post, "claim": "claim:slug:claimed"}
    return Things(ids, hold, order)


def test_every_route_of_a_command_is_here() -> None:
    routes = RouteTable(registry.routes()).routes
    declared = {one.route.path for one in routes if isinstance(one.declaration, CommandRoute)}
    assert {naming.route for naming in NAMINGS} | MAKING == declared


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.route)
def test_an_id_of_another_kind_is_unknown(service: Service, things: Things, naming: Naming) -> None:
    before = service.log_digest()
    for kind, id in things.ids.items():
        path, body = naming.request(id, things)
        if kind == naming.kind or (kind == "claim" and id in str(body)):  # no body takes the name of a claim
            continue
        response = service.post(path, body)
        assert response.status_code == 404, (path, body, response.text)
        assert response.json()["figures"] == {"kind": naming.kind, "id": id}
    assert service.log_digest() == before
