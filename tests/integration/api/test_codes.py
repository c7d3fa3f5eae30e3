"""Codes, metadata and times in bodies, and retries from before texts had to be codes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from api.commands.execution import request_hash
from domain.accounts.account.holds import MOST_DAYS_HELD
from tests.support.answers import accepted, eur
from tests.support.ledger import NOW
from tests.support.service import Service


def test_a_text_that_is_no_code_is_refused_by_a_rule(service: Service) -> None:
    account = service.account("10.00")
    body = eur("1.00", reference="for Ada's birthday")
    refused = service.post(f"accounts/{account}/deposits", body, Idempotency_Key="sentence")
    assert (refused.status_code, refused.json()["code"]) == (422, "not_a_code")
    assert refused.json()["figures"] == {"field": "reference", "most": 100}
    assert "Ada" not in refused.text, "the answer is kept, and the text may be about a person"
    [item] = service.post("batches", [{"key": "k", "path": f"/v1/accounts/{account}/deposits", "body": body}]).json()
    assert (item["status"], item["body"]["code"]) == (422, "not_a_code")


def test_a_retry_from_before_texts_had_to_be_codes_gets_its_answer(service: Service) -> None:
    account = service.account()
    path, key = f"accounts/{account}/deposits", "before-codes"
    first = service.post(path, eur("1.00", reference="two-words"), Idempotency_Key=key)
    accepted(first)
    body = eur("1.00", reference="two words")
    with psycopg.connect(service.database.url, autocommit=True) as owner:  # as an earlier revision recorded it
        changed = owner.execute(
            "UPDATE log.commands SET request_hash = %s WHERE key = %s", (request_hash(f"/v1/{path}", None, body), key)
        )
        assert changed.rowcount == 1
    again = service.post(path, body, Idempotency_Key=key)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")


SOON = NOW + timedelta(days=1)
INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("expires_at", "code"),
    [
        (SOON.isoformat(), None),
        (SOON.astimezone(INDIA).isoformat(), None),
        (f"{SOON:%Y-%m-%dT%H:%M:%S}.000001Z", None),
        (None, None),
        (f"{SOON:%Y-%m-%dT%H:%M:%S}", "malformed"),
        (f"{SOON:%Y-%m-%d}", "malformed"),
        (SOON.timestamp(), "malformed"),
        ("2027-02-30T00:00:00Z", "malformed"),
        ("0001-01-01T00:00:00+01:00", "malformed"),
        ("9999-12-31T23:59:59-01:00", "malformed"),
        (NOW.isoformat(), "hold_expiry"),
        ((NOW + timedelta(MOST_DAYS_HELD, microseconds=1)).isoformat(), "hold_expiry"),
    ],
)
def test_when_a_hold_expires(service: Service, expires_at: Any, code: str | None) -> None:
    account = service.account("10.00")
    response = service.post(f"accounts/{account}/holds", eur("1.00", expires_at=expires_at, metadata={"till": "4"}))
    if code is not None:
        assert response.json()["code"] == code
        return
    accepted(response)
    [placed] = [
        event
        for event in service.get(f"streams/{account}", role="audit").json()["events"]
        if event["type"] == "account.hold_placed.v2"
    ]
    stored = placed["data"]["expires_at"]
    assert placed["data"]["metadata"] == {"till": "4"}
    if expires_at is None:
        assert stored is None
    else:
        assert datetime.fromisoformat(stored) == datetime.fromisoformat(expires_at)
        assert datetime.fromisoformat(stored).utcoffset() == timedelta(0)
