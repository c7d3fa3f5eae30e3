"""Mails over HTTP: the list of failures, who may see it, and another try. And the plans of what is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from projections.people.mails import due_mails, mails, next_due_mail, open_mails
from tests.samples.people import mail as samples
from tests.support.answers import accepted, found
from tests.support.ledger import NOW, fold, ledger_on
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Database, Server
from tests.support.service import Service


def test_a_mail_that_was_given_up_is_listed_with_its_cause(service: Service) -> None:
    mail = samples.one(service)
    read = found(service.get(f"mails/{mail}", role="operator"))
    shown = {"status": "given_up", "template": "verify", "cause": "refused", "reply": 550, "attempts": 1}
    assert shown.items() <= read.items()
    assert read["next_at"] is None
    assert not any("@" in str(value) for value in read.values()), "no address is shown"

    def listed(**filters: Any) -> list[Any]:
        items: list[Any] = found(service.get("mails", role="operator", **filters))["items"]
        return items

    assert read in listed(status="given_up")
    assert read not in listed(status="sent")
    assert listed(person=read["person"]) == [read]
    assert listed(person=read["person"], after=read["position"]) == []


def test_it_is_tried_again_for_a_reason_that_is_sealed(service: Service) -> None:
    mail = samples.one(service)
    body = {"reason": "Ada has another provider now"}
    accepted(service.post(f"mails/{mail}/retry", body, role="operator"), 200)
    read = found(service.get(f"mails/{mail}", role="operator"))
    assert (read["status"], read["attempts"], read["cause"]) == ("waiting", 0, "refused")
    again = service.post(f"mails/{mail}/retry", body, role="operator")
    assert (again.status_code, again.json()["code"]) == (422, "mail_status")
    with psycopg.connect(service.database.url) as connection:
        [(payload,)] = connection.execute(
            "SELECT payload::text FROM log.events_as_json WHERE stream = %s AND type = 'mail.retried.v1'", (mail,)
        ).fetchall()
    assert "provider" not in payload


@pytest.mark.parametrize("role", ["command", "report", "audit", "customer"])
def test_others_see_no_mails_and_retry_none(service: Service, role: str) -> None:
    mail = samples.one(service)
    for path in ("mails", f"mails/{mail}"):
        refused = service.get(path, role=role)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    refused = service.post(f"mails/{mail}/retry", samples.REASON, role=role)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


READS: dict[str, Callable[[Connection[Any]], object]] = {
    "mails_to_send": lambda connection: due_mails(connection, NOW, (datetime.min.replace(tzinfo=UTC), ""), 100),
    "mails_in_order": lambda connection: mails(connection, after=19_000),
    "mails_in_status": lambda connection: mails(connection, status="given_up"),
    "mails_of_person": lambda connection: mails(connection, person="prsn_7"),
}
"""What is read, and the index that finds it."""


def test_the_plans_stay_fast_with_many_mails(postgres18: Server) -> None:
    with postgres18.database() as database:
        many(database)
        with psycopg.connect(database.url, autocommit=True) as connection:
            for index, read in READS.items():
                [scan] = Explained(connection).scans(lambda read=read: read(connection))  # type: ignore[misc]
                assert probed_index(scan) == index
            [scan] = Explained(connection).scans(lambda: next_due_mail(connection, NOW))
            assert probed_index(scan) == "mails_to_send"
            [scan] = Explained(connection).scans(lambda: open_mails(connection, NOW))
            assert scan["Index Name"] == "mails_to_send", "mails that are done are not looked at"


def many(database: Database) -> None:
    """20,000 mails. One in a hundred is due, another one was given up."""
    with ledger_on(database):
        fold(database)
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO read.mails (mail, person, template, cause_version, status, attempts, next_at, version,"
            " position, queued_at, last_position, last_at)"
            " SELECT 'mail_' || n, 'prsn_' || n, 'verify', 1,"
            " CASE n %% 100 WHEN 1 THEN 'waiting' WHEN 2 THEN 'given_up' ELSE 'sent' END, 1,"
            " CASE n %% 100 WHEN 1 THEN %(now)s END, 2, n, %(now)s, n, %(now)s"
            " FROM generate_series(1, 20000) n",
            {"now": NOW},
        )
        owner.execute("ANALYZE read.mails")
