"""Which reads are recorded, and what of the request the row keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from api import registry
from api.gateway.recorded_reads import ACTOR, ITEMS, KEY, NAMING, read_of
from api.gateway.routes import RouteTable
from domain.kernel import Grant, Principal
from eventstore.reads.read import MOST_ABOUT, Read

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TABLE = RouteTable(registry.routes())
REPORTER, AUDITOR = Principal("bi", ("report",)), Principal("auditor", ("audit",), person="prsn_eve")
ADA = Principal("prsn_ada", ("customer",), person="prsn_ada")
OTHER = frozenset(
    (
        "action after amount_from amount_until as_of by category currency cursor day due_until every format from "
        "kind limit metadata min_position name newest_first outcome pair path period position receipt recorded_before "
        "recorded_from reference reference_prefix side since standing state status ticket to type upto value_date "
        "value_from value_until"
    ).split()
)
"""Parameters that name nobody."""
TEXT = frozenset({"username", "email"})
"""Parameters that name somebody by a personal text, which is not kept: the row has the number of items alone."""


def recorded(principal: Principal, target: str, items: int | None = 1) -> Read | None:
    path, _, query = target.partition("?")
    found = TABLE.find(path)
    assert found is not None
    return read_of(principal, found, query.encode(), MappingProxyType({ITEMS: items}), NOW)


def about(principal: Principal, target: str) -> tuple[str, ...]:
    read = recorded(principal, target)
    assert read is not None
    return read.about


def test_each_parameter_of_a_personal_read_names_somebody_or_not() -> None:
    personal = [declared for declared in TABLE.routes if declared.declaration.personal]
    assert len(personal) > 15
    named = {name for declared in personal for name in declared.parameters}
    for declared in personal:
        found = TABLE.find(declared.route.path)
        assert found is not None
        named |= set(found.path.names)
        assert len(NAMING.intersection((*found.path.names, *declared.parameters))) <= MOST_ABOUT
    assert named == NAMING | OTHER | TEXT | {KEY}
    assert not NAMING & OTHER


def test_a_read_says_who_read_what_about_whom() -> None:
    assert recorded(AUDITOR, "/v1/accounts/acct_1/entries?limit=5", items=3) == Read(
        at=NOW,
        principal="auditor",
        person="prsn_eve",
        route="/v1/accounts/{account}/entries",
        about=("acct_1",),
        items=3,
    )
    assert about(REPORTER, "/v1/accounts?owner=customer-1&limit=1") == ("customer-1",)
    assert about(REPORTER, "/v1/account-persons?person=prsn_ada&account=acct_1") == ("acct_1", "prsn_ada")
    assert about(REPORTER, "/v1/people/prsn_ada/activity") == ("prsn_ada",)
    assert about(REPORTER, "/v1/accounts") == ()


@pytest.mark.parametrize("text", ["Ada%20Lovelace", "ada%40example.com", "", "%C3%84da", "x" * 101])
def test_text_that_is_no_code_is_not_kept(text: str) -> None:
    assert about(REPORTER, f"/v1/accounts?owner={text}") == ()


def test_a_person_who_reads_about_themselves_is_not_recorded() -> None:
    assert recorded(ADA, "/v1/people/prsn_ada/activity") is None
    assert recorded(ADA, "/v1/account-persons?person=prsn_ada") is None
    assert recorded(ADA, "/v1/accounts") is None, "a customer gets only what is theirs"
    assert recorded(AUDITOR, "/v1/people/prsn_eve/reads") is None
    assert about(AUDITOR, "/v1/people/prsn_ada/reads") == ("prsn_ada",)
    assert about(AUDITOR, "/v1/reads") == ()
    assert about(ADA, "/v1/account-persons?person=prsn_ada&account=acct_1") == ("acct_1", "prsn_ada")
    assert about(ADA, "/v1/accounts/acct_1") == ("acct_1",), "it may be another person's"


def test_a_granted_role_of_the_staff_counts_until_its_end() -> None:
    for until, is_recorded in ((NOW + timedelta(microseconds=1), True), (NOW, False)):
        helper = Principal("prsn_ada", ("customer",), person="prsn_ada", grants=(Grant("report", until),))
        assert (recorded(helper, "/v1/accounts") is not None) is is_recorded


def test_a_program_that_asks_for_its_own_command_is_not_recorded() -> None:
    assert recorded(REPORTER, "/v1/commands/key-1") is None
    assert recorded(REPORTER, f"/v1/commands/key-1?{ACTOR}=bi") is None
    assert about(AUDITOR, f"/v1/commands/key-1?{ACTOR}=bi") == ("bi",)
