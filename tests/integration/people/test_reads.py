"""Who read what about whom: what is recorded, who sees it, and how it is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.gateway.principals import TokenHolder, digest
from eventstore.postgres.connect import connect
from eventstore.reads.listing import Before, reads
from eventstore.reads.read import Read
from eventstore.reads.recorder import Recorder
from tests.integration.people.test_activity import Somebody, activity, by
from tests.support.ledger import NOW
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "who-read-what.md"
SECRET = "Ada Lovelace of 12 Byron Street"


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


@pytest.fixture
def ada(service: Service) -> Somebody:
    return Somebody(service, "customer")


def settled(service: Service) -> Service:
    """The service, once all reads so far are in the table."""
    recorder = service.services.recorder
    assert isinstance(recorder, Recorder)
    wait_until(lambda: recorder.statistics().waiting == 0, "reads were not written")
    assert recorder.statistics().lost == 0
    return service


def about(service: Service, person: Somebody, **params: Any) -> list[dict[str, Any]]:
    """What the person sees of who read about them."""
    settled(service)
    return activity(person.get(f"people/{person.id}/reads", **params))


def test_a_person_sees_who_else_read_about_them(service: Service, ada: Somebody) -> None:
    account = service.account(owner=ada.id)
    service.get("accounts", owner=ada.id, role="report")
    service.get("account-persons", person=ada.id, account=account, role="audit")
    service.get(f"people/{ada.id}/activity", role="operator")
    ada.get("accounts")
    ada.get(f"people/{ada.id}/activity")
    assert ada.get("accounts", owner=ada.id).status_code == 200
    rows = about(service, ada)
    assert [(row["principal"], row["route"], row["items"]) for row in rows] == [
        ("the-operator", "/v1/people/{person}/activity", 0),
        ("the-audit", "/v1/account-persons", 1),
        ("the-report", "/v1/accounts", 1),
    ]
    assert {row["about"] for row in rows} == {ada.id}
    assert {row["person"] for row in rows} == {None}
    assert {datetime.fromisoformat(row["at"]) for row in rows} == {NOW}
    of_account = activity(settled(service).get("reads", role="audit", about=account))
    assert [(row["principal"], row["about"]) for row in of_account] == [("the-audit", account)]


def test_what_was_not_found_was_not_read(service: Service, ada: Somebody) -> None:
    bob = Somebody(service, "customer")
    assert bob.get(f"people/{ada.id}/reads").status_code == 404
    assert service.get(f"people/{ada.id}/reads", role="report").status_code == 404
    assert service.get("accounts/acct_none", role="report").status_code == 404
    assert about(service, ada) == []
    assert activity(service.get("reads", role="audit", about="acct_none")) == []


def test_auditors_filter_all_reads(service: Service, ada: Somebody) -> None:
    eve = Somebody(service, "audit")
    eve.get("accounts", owner=ada.id)
    eve.get("accounts", limit=1)
    settled(service)

    def found(**params: Any) -> list[tuple[str, str | None]]:
        answer = service.get("reads", role="audit", limit=200, **params)
        return [(row["principal"], row["about"]) for row in activity(answer)]

    assert found(principal=eve.id) == found(person=eve.id) == [(eve.id, None), (eve.id, ada.id)]
    assert found(about=ada.id, principal=eve.id) == [(eve.id, ada.id)]
    now, later = NOW.isoformat(), (NOW + timedelta(microseconds=1)).isoformat()
    assert found(**{"principal": eve.id, "from": now, "to": later}) == found(principal=eve.id)
    assert found(**{"principal": eve.id, "from": later}) == []
    assert found(principal=eve.id, to=now) == []
    first = service.get("reads", role="audit", principal=eve.id, limit=1).json()
    second = service.get("reads", role="audit", principal=eve.id, limit=1, cursor=first["next"]).json()
    assert [row["about"] for row in first["items"] + second["items"]] == [None, ada.id]
    assert second["next"] is None
    wrong: tuple[dict[str, Any], ...] = (
        {"cursor": "IjEKeCI"},
        {"cursor": "IjEi"},
        {"from": "yesterday"},
        {"from": "2026-11-21T12:00:00"},
    )
    for params in wrong:
        assert service.get("reads", role="audit", **params).status_code == 400


def test_rows_have_ids_and_no_text_of_anybody(service: Service, ada: Somebody) -> None:
    service.account(owner=ada.id, name=SECRET)
    asked: tuple[tuple[str, dict[str, Any]], ...] = (
        ("accounts", {"owner": SECRET}),
        ("transactions", {"reference": SECRET}),
        ("posts", {"author": SECRET}),
        ("accounts", {"owner": ada.id}),
    )
    for path, params in asked:
        assert service.get(path, role="report", **params).status_code == 200
    settled(service)
    with psycopg.connect(service.database.url) as connection:
        rows = [str(row) for row in connection.execute("SELECT r::text FROM access.reads r")]
    assert rows
    assert not [row for row in rows if "Lovelace" in row or "Byron" in row]


def test_a_replica_says_that_it_has_no_such_record(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database) as service:
        object.__setattr__(service.services, "reads_only", True)
        for path in ("people/prsn_x/activity", "people/prsn_x/reads", "reads"):
            answer = service.get(path, role="audit")
            assert (answer.status_code, answer.json()["code"]) == (421, "read_only")


def test_a_person_who_supervises_is_recorded_like_others(service: Service, ada: Somebody) -> None:
    boss = Somebody(service)
    service.grants[digest(boss.token)] = TokenHolder(by(boss.id, "administrator"))
    assert boss.get(f"people/{ada.id}/activity").status_code == 200
    [row] = about(service, ada)
    assert (row["principal"], row["person"]) == (boss.id, boss.id)


# Plans.

MANY = 20_000
_FILL = f"""
INSERT INTO access.reads (log, recorder, number, place, at, principal, person, route, about, items)
SELECT 1, 'reads_1', n, 1, '2026-11-01'::timestamptz + n * interval '1 second', 'token-' || n % 500,
       CASE WHEN n % 2 = 0 THEN 'prsn_' || n % 500 END, '/v1/accounts',
       CASE WHEN n % 3 > 0 THEN 'prsn_' || n % 997 END, 1
  FROM generate_series(1, {MANY}) n
"""


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "reads_by_time"),
        ({"principal": "token-7"}, "reads_of_principal"),
        ({"person": "prsn_8"}, "reads_of_person"),
        ({"about": "prsn_10"}, "reads_about"),
        ({"about": "prsn_10", "not_by": "prsn_10"}, "reads_about"),
        (
            {"read_from": datetime(2026, 11, 1, 2, tzinfo=UTC), "read_before": datetime(2026, 11, 1, 3, tzinfo=UTC)},
            "reads_by_time",
        ),
    ],
)
def test_each_list_probes_an_index_without_a_sort(server: Server, filters: dict[str, Any], index: str) -> None:
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(_FILL)
        connection.execute("VACUUM ANALYZE access.reads")
        explained = Explained(connection)
        before: list[Before] = []

        def page() -> None:
            found = reads(connection, 1, 5, **filters, before=before[-1] if before else None)
            assert found or before
            before.extend(Before(one.at, one.id) for one in found[-1:])

        for _ in range(2):
            [statement] = explained.statements(page)
            [scan] = statement.scans
            assert probed_index(scan) == index, statement.plan
            assert "Sort" not in str(statement.plan)


def test_the_statements_of_the_how_to_run_as_an_auditor(service: Service, ada: Somebody) -> None:
    service.get("accounts", owner=ada.id, role="report")
    settled(service)
    by_id, whole = re.findall(r"```sql\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    with psycopg.connect(service.database.audit_url) as auditor:
        [row] = auditor.execute(by_id.replace("acct_01h455vb4pex5vsknk084sn02q", ada.id).encode()).fetchall()
        assert row == (NOW, "the-report", None, "/v1/accounts", 0)
        [row] = auditor.execute(whole.encode()).fetchall()
        recorder, began_at, ended_at, running, kept, missing, lost = row
    assert recorder.startswith("reads_")
    assert (began_at, ended_at, running, kept > 0, missing, lost) == (NOW, None, True, True, 0, 0)


def test_the_login_that_records_adds_rows_that_the_owner_forgets(server: Server) -> None:
    """To the microsecond, and the rows of a process go once nothing else of it is left."""
    moments = [NOW + timedelta(microseconds=number) for number in range(3)]
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as owner:

        def forget(before: datetime) -> int:
            row = owner.execute("SELECT access.forget_reads(%s)", (before,)).fetchone()
            assert row is not None
            return int(row[0])

        def one(statement: str) -> Any:
            row = owner.execute(statement.encode()).fetchone()
            assert row is not None
            return row

        completeness = "SELECT forgotten, kept, missing, lost, ended_at IS NOT NULL, running FROM access.completeness"
        login = lambda: connect(database.api_url, application_name="recorded")  # noqa: E731
        with Recorder(login, 1, "reads_1", lambda: NOW, gather_seconds=0) as recorder:
            for at in moments:
                recorder.note(Read(at, "bi", None, "/v1/accounts", ("a", "b"), 1))
            wait_until(lambda: recorder.statistics().written == 3, "reads were not written")
            assert one(completeness) == (0, 3, 0, 0, False, True)
        assert one(completeness) == (0, 3, 0, 0, True, False)
        assert forget(moments[1]) == 2, "a row for each id"
        assert one(completeness) == (1, 2, 0, 0, True, False), "what was forgotten is not missing"
        assert forget(moments[1]) == 0
        owner.execute("DELETE FROM access.reads WHERE number = 2")
        assert one(completeness) == (1, 1, 1, 0, True, False), "what somebody removed is missing"
        assert forget(moments[2] + timedelta(seconds=1)) == 2
        assert forget(moments[2] + timedelta(seconds=1)) == 0
        assert one("SELECT count(*) FROM access.recorders") == (0,)
