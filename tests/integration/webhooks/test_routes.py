"""Webhooks over HTTP: what a secret is shown in, who sees what, the deliveries, and what is kept of a secret."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from eventstore.postgres.connect import connect
from eventstore.webhooks.signatures import PREFIX
from tests.samples.webhooks import webhook as samples
from tests.support.answers import accepted, found
from tests.support.searching import dump
from tests.support.searching import found as found_in
from tests.support.service import Service
from tests.support.webhooks import Receiver, receiver, service_worker, signed_with


@pytest.fixture
def to() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def created(service: Service, **more: Any) -> dict[str, Any]:
    body = {"url": samples.URL, "contact": samples.contact(service), **more}
    answer: dict[str, Any] = accepted(service.post("webhooks", body, role="operator"))
    return answer


def test_the_secret_is_shown_by_its_own_answers_only(service: Service) -> None:
    body = {"url": samples.URL, "contact": samples.contact(service)}
    first = service.post("webhooks", body, role="operator", key="the-creation-of-a-webhook")
    again = service.post("webhooks", body, role="operator", key="the-creation-of-a-webhook")
    assert first.json() == again.json(), "whoever lost the answer gets it again"
    answer = first.json()
    secret, webhook = answer["secret"], answer["webhook"]
    assert len(base64.b64decode(secret.removeprefix(PREFIX))) == 32
    assert created(service)["secret"] != secret, "each webhook has its own"
    rotated = accepted(service.post(f"webhooks/{webhook}/rotate-secret", {"overlap_seconds": 60}, role="operator"))
    assert rotated["set_by"] == 2
    assert rotated["secret"] != secret
    for path in ("webhooks", f"webhooks/{webhook}", f"webhooks/{webhook}/progress", f"webhooks/{webhook}/deliveries"):
        text = service.get(path, role="operator").text
        assert secret not in text
        assert PREFIX not in text
    kept, secrets = dump(service.database), [secret, rotated["secret"]]
    raw = [base64.b64decode(one.removeprefix(PREFIX)).hex() for one in secrets]
    assert found_in([*secrets, *(one.removeprefix(PREFIX) for one in secrets), *raw], kept) == []
    assert found_in([webhook], kept) == [webhook], "what is kept is found"
    recorded = service.get("commands/the-creation-of-a-webhook", role="operator")
    assert secret not in recorded.text


def test_another_request_under_the_key_shows_nothing(service: Service) -> None:
    body = {"url": samples.URL, "contact": samples.contact(service)}
    assert service.post("webhooks", body, role="operator", key="one-webhook-and-no-other").status_code == 201
    other = service.post("webhooks", body | {"hours": 5}, role="operator", key="one-webhook-and-no-other")
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")
    assert "secret" not in other.json()


def test_a_webhook_is_listed_as_it_is(service: Service) -> None:
    webhook = created(service, areas=["orders", "accounts"], types=["order.paid"])["webhook"]
    read = found(service.get(f"webhooks/{webhook}", role="audit"))
    shown = {"url": samples.URL, "areas": ["accounts", "orders"], "types": ["order.paid"], "accounts": []}
    assert (shown | {"status": "active", "failures": 20, "hours": 72, "cause": None}).items() <= read.items()
    assert read in found(service.get("webhooks", role="operator", status="active"))["items"]
    accepted(service.post(f"webhooks/{webhook}/pause", {}, role="operator"), 200)
    paused = found(service.get("webhooks", role="operator", status="paused"))["items"]
    assert webhook in [one["webhook"] for one in paused]
    progress = found(service.get(f"webhooks/{webhook}/progress", role="operator"))
    assert (progress["taken_to"], progress["failures"], progress["next_at"]) == (None, 0, None)


def test_deliveries_are_listed_in_pages_with_a_sentence(service18: Service, to: Receiver) -> None:
    answer = created(service18, url=to.url, types=["account.opened"])
    webhook = answer["webhook"]
    first, *_ = (service18.account() for _ in range(3))
    to.usual = lambda request: 500 if request.event["subject"] == first else 200
    service18.get("webhooks", role="operator")  # it is folded
    with (
        connect(service18.database.query_url, application_name="webhooks", read_only=True) as reads,
        service_worker(service18, reads) as worker,
    ):
        worker.sweep()
    assert all(signed_with(answer["secret"], one) for one in to.received)
    whole = found(service18.get(f"webhooks/{webhook}/deliveries", role="operator"))["items"]
    assert len(whole) == 3
    paged: list[Any] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = found(service18.get(f"webhooks/{webhook}/deliveries", role="audit", limit=1, **cursor))
        paged += page["items"]
        cursor = {"cursor": page["next"]}
    assert (paged, cursor) == (whole, {"cursor": None})
    [failed] = found(service18.get(f"webhooks/{webhook}/deliveries", role="operator", failed="true"))["items"]
    assert (failed["cause"], failed["status"], failed["attempt"]) == ("answered", 500, 1)
    assert failed["error"] == "The receiver answered with a status other than 2xx."
    assert failed["message"] == f"{webhook}:{failed['event']}"
    progress = found(service18.get(f"webhooks/{webhook}/progress", role="operator"))
    assert (progress["failures"], progress["ahead"]) == (1, 2)
    assert progress["next_at"] is not None
    accepted(service18.post(f"webhooks/{webhook}/remove", {}, role="operator"), 200)


@pytest.mark.parametrize("role", ["command", "report", "customer"])
def test_others_see_no_webhooks_and_create_none(service: Service, role: str) -> None:
    webhook = created(service)["webhook"]
    for path in ("webhooks", f"webhooks/{webhook}", f"webhooks/{webhook}/progress", f"webhooks/{webhook}/deliveries"):
        refused = service.get(path, role=role)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    body = {"url": samples.URL, "contact": samples.contact(service)}
    refused = service.post("webhooks", body, role=role)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_one_that_does_not_exist_is_unknown(service: Service) -> None:
    for path in ("webhooks/whk_nobody", "webhooks/whk_nobody/progress", "webhooks/whk_nobody/deliveries"):
        assert service.get(path, role="operator").status_code == 404
    assert service.post("webhooks/whk_nobody/pause", {}, role="operator").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://user:secret@receiver.example/"},
        {"url": "https://receiver.example/?token=secret"},
        {"url": "ftp://receiver.example/"},
        {"areas": ["nowhere"]},
        {"types": ["order.paid.v1"]},
        {"types": ["nothing.happened"]},
        {"accounts": ["a b"]},
        {"failures": 2},
        {"hours": 0},
        {"after": -1},
    ],
)
def test_a_wrong_body_is_refused(service: Service, wrong: dict[str, Any]) -> None:
    body = {"url": samples.URL, "contact": samples.contact(service)} | wrong
    refused = service.post("webhooks", body, role="operator")
    assert refused.status_code in (400, 422), refused.text
    assert refused.json()["code"] in ("malformed", "webhook_url")
