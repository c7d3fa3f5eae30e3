"""The printed form of events and states for an auditor."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest

from domain.accounts.account.state import Account, Profile
from domain.accounts.posting import Entry, TransactionPosted
from domain.kernel import ERASED, UNREADABLE
from eventstore.log.read import Recorded
from projections.replay.steps import plain
from tests.samples.registry import EVENTS
from tests.samples.sample import StoredEvent
from workers.replay_text import _value
from workers.showing import described, in_major_units

ADA, GRACE = "acct_01h455vb4pex5vsknk084sn02q", "acct_01h455vb4pex5vsknk084sn02r"
DAY = date(2024, 1, 2)


def posted(description: object) -> tuple[Recorded, dict[str, object]]:
    """A recorded transfer, and its data."""
    entries = Entry(ADA, "debit", 1230, "EUR"), Entry(GRACE, "credit", 1230, "EUR")
    event = TransactionPosted("txn_1", 1, "transfer", DAY, entries, None, "ada", description)  # type: ignore[arg-type]
    metadata = orjson.dumps({"actor": {"id": "bank", "how": "token"}})
    at = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    recorded = Recorded(7, 9, "txn_1", 1, "transaction.posted.v1", at, b"{}", metadata)
    data = {name: value for name, value in plain(event).items() if not name.startswith("originator_")}
    return recorded, data


@pytest.mark.parametrize(("description", "shown"), [(ERASED, "[erased]"), (UNREADABLE, "[unreadable]")])
def test_an_event_is_printed_completely_and_in_major_units(description: object, shown: str) -> None:
    assert list(described(*posted(description), None)) == [
        "     1  transaction.posted.v1",
        "        at 7, 2024-01-02 03:04:05 UTC, by bank",
        f"        kind transfer, value_date 2024-01-02, entries account {ADA}, side debit, amount 12.30 EUR; "
        f"account {GRACE}, side credit, amount 12.30 EUR, subject ada, description {shown}",
    ]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_each_event_that_can_be_stored_is_printed(event: StoredEvent) -> None:
    at = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    metadata = orjson.dumps({"actor": {"id": "bank", "how": "token"}})
    recorded = Recorded(7, 9, event.stream, event.version, event.type, at, b"{}", metadata)
    first, second, *_ = described(recorded, plain(event.means), None)
    assert first.endswith(event.type)
    assert second == "        at 7, 2024-01-02 03:04:05 UTC, by bank"


def test_codes_in_a_list_are_printed_as_they_are() -> None:
    recorded, _ = posted("for the rent")
    data = {"key": "akey_1", "areas": ["accounts", "posts"], "accounts": None, "roles": []}
    *_, last = described(recorded, data, None)
    assert last == "        key akey_1, areas accounts posts, roles "


def test_lines_are_as_wide_as_the_terminal_and_cut_no_id() -> None:
    lines = list(described(*posted("for the rent"), 50))
    assert max(map(len, lines)) <= 50
    assert {ADA, GRACE} <= {word.strip(",;") for line in lines for word in line.split()}


def test_text_of_a_client_cannot_control_the_terminal() -> None:
    answered = "\n".join(described(*posted("\x1b[2Jnothing\nto see: ö"), None))
    assert r"\x1b[2Jnothing\nto see: ö" in answered
    assert "\x1b" not in answered


def test_a_state_has_decimal_strings_for_amounts() -> None:
    profile = Profile(ADA, "CHK1", "checking", "JPY", "ada", None, 5_000, DAY)
    shown = in_major_units(plain(Account(3, profile, -1230, 30, "open", (("hold_1", 30, None),))))
    assert (shown["balance"], shown["reserved"], shown["version"]) == ("-1230", "30", 3)
    assert (shown["profile"]["minimum"], shown["profile"]["maximum"]) == (None, "5000")
    assert shown["holds"] == [{"hold": "hold_1", "amount": "30", "expires_at": None}]


def test_a_list_of_another_form_under_the_name_of_tuples_is_shown_as_it_is() -> None:
    assert in_major_units({"holds": ["hold_1"], "days": 30}) == {"holds": ["hold_1"], "days": 30}


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("balance", -1230, "-12.30"),
        ("holds", [["hold_1", 30, None]], '[{"hold":"hold_1","amount":"0.30","expires_at":null}]'),
        ("holds[0]", ["hold_1", 30, None], '{"hold":"hold_1","amount":"0.30","expires_at":null}'),
        ("holds[0][1]", 30, "0.30"),
        ("holds[0][0]", "hold_1", "hold_1"),
        ("usage.days[0][1]", 30, "30"),
        ("profile.owners[0]", "ada", "ada"),
        ("profile.owners", ["ada"], '["ada"]'),
    ],
)
def test_a_value_of_a_state_is_shown_by_its_path(path: str, value: Any, shown: str) -> None:
    assert _value(path, value, "EUR") == shown
