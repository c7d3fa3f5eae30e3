"""A command with the id of a thing of another kind is answered 404."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from domain.registry import AGGREGATES
from tests.samples.registry import ROUTES, SAMPLES
from tests.samples.sample import Request
from tests.support.service import Service

KINDS = {aggregate.name: aggregate.prefix for aggregate in AGGREGATES}


class Naming(NamedTuple):
    """An id in a request: its kind, its value, and whether it is in the path."""

    kind: str
    id: str
    in_path: bool


def namings(request: Request) -> Iterator[Naming]:
    """All ids of streams in a request."""
    text = json.dumps(request.body)
    for kind, prefix in KINDS.items():
        for id in request.names.values():
            if id.startswith(prefix):
                yield Naming(kind, id, in_path=True)
        for word in text.split('"'):
            # An account knows the persons who own it by their ids alone.
            if word.startswith(prefix) and kind != "person":
                yield Naming(kind, word, in_path=False)


OF_ITEMS = {"/v1/payrolls": "payroll_item_refused"}
"""Commands that are refused because of an item that names what does not exist, and the rule."""


@pytest.fixture(scope="module")
def ones(service: Service) -> dict[str, str]:
    """One existing id of each kind."""
    return {kind: samples.one(service) for kind, samples in SAMPLES.items()}


@pytest.mark.parametrize("route", ROUTES)
def test_an_id_of_another_kind_is_unknown(service: Service, ones: dict[str, str], route: str) -> None:
    request = ROUTES[route](service)
    path, body = request.path(route).removeprefix("/v1/"), json.dumps(request.body)
    before, refused = service.log_digest(), False
    for naming in namings(request):
        for kind, other in ones.items():
            is_possible = naming.in_path or kind not in (
                "claim",
                "posting_policy",
                "business_calendar",
                "chart",
                "node_accounts",
                "periods",
                "rate",
                "fee_schedule",
                "template",
                "interest",
                "settlement_agreement",
                "sign_in_policy",
                "subject",
                "administrators",
                "approval",
                "mail",
                "privacy",
            )  # no body has such an id
            if kind == naming.kind or not is_possible:
                continue
            there, sent = path.replace(naming.id, other), body.replace(naming.id, other)
            response = service.post(there, json.loads(sent), role="operator")
            if route in OF_ITEMS and response.status_code == 422:
                assert (response.json()["code"], response.json()["figures"]["account"]) == (OF_ITEMS[route], other)
                refused = True
                continue
            assert response.status_code == 404, (there, sent, response.text)
            assert response.json()["figures"] == {"kind": naming.kind, "id": other}
    after = service.log_digest()
    assert after.events == before.events
    assert refused or after == before, "only a refusal is recorded"
