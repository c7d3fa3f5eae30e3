"""The fold of a transaction keeps every member that its first event has, whether it is posted at once or waits."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from msgspec.structs import asdict

from domain.accounts.posting import Entry, TransactionPosted
from domain.accounts.transaction.events import TransactionPended
from domain.accounts.transaction.state import TransactionState, evolve

ENTRIES = (Entry("acct_1", "debit", 5, "EUR"), Entry("acct_2", "credit", 5, "EUR"))
DAY, LATER = date(2026, 11, 30), datetime(2026, 12, 1, tzinfo=UTC)
POSTED = TransactionPosted("txn_1", 1, "fee", DAY, ENTRIES, "REF", "prsn_1", "a text")
PENDED = TransactionPended("txn_1", 1, "fee", DAY, ENTRIES, "REF", "prsn_1", "a text", "approval", "prsn_2", LATER)


@pytest.mark.parametrize(("first", "status"), [(POSTED, "posted"), (PENDED, "pending")])
def test_each_member_of_the_first_event_is_kept(first: TransactionPosted | TransactionPended, status: str) -> None:
    state = asdict(evolve(None, first))
    told = {name: value for name, value in asdict(first).items() if name in TransactionState.__struct_fields__}
    assert {*("kind", "value_date", "entries", "reference", "subject")} <= told.keys()
    assert told.items() <= state.items()
    assert (state["id"], state["version"], state["status"]) == ("txn_1", 1, status)
