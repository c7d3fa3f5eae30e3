"""Tickets to follow the log are valid for seconds, once, and in every process of the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.gateway.problems import Problem
from api.gateway.tickets import MOST_CHARACTERS, MOST_USED, SECONDS, Tickets, ticket_key

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOKEN = bytes(range(32))


class Process:
    """An API process with a clock that tests set."""

    def __init__(self, master_key: bytes = bytes(32), previous: bytes | None = None) -> None:
        self.seconds = 0.0
        self.tickets = Tickets(
            ticket_key(master_key),
            lambda: START + timedelta(seconds=self.seconds),
            None if previous is None else ticket_key(previous),
        )


def test_a_ticket_replaces_its_token_once() -> None:
    tickets = Process().tickets
    made = tickets.issue(TOKEN)
    assert made.expires == START + timedelta(seconds=SECONDS)
    assert tickets.redeem(made.text) == TOKEN
    assert tickets.redeem(made.text) is None
    assert tickets.redeem(tickets.issue(TOKEN).text) == TOKEN


def test_a_ticket_expires_to_the_second() -> None:
    process = Process()
    early, late = process.tickets.issue(TOKEN), process.tickets.issue(TOKEN)
    process.seconds = SECONDS - 0.001
    assert process.tickets.redeem(early.text) == TOKEN
    process.seconds = SECONDS
    assert process.tickets.redeem(late.text) is None


def test_only_processes_with_the_same_master_key_accept_it() -> None:
    made = Process().tickets.issue(TOKEN)
    assert Process().tickets.redeem(made.text) == TOKEN
    assert Process(bytes([1]) * 32).tickets.redeem(made.text) is None


def test_during_a_rotation_tickets_of_both_keys_are_accepted() -> None:
    old, new, other = (bytes([number]) * 32 for number in range(3))
    both = Process(new, old).tickets
    before, after, foreign = (Process(key).tickets.issue(TOKEN).text for key in (old, new, other))
    assert both.redeem(before) == both.redeem(after) == TOKEN
    assert [both.redeem(text) for text in (before, after, foreign, "", "A" * 20)] == [None] * 5
    made = both.issue(TOKEN).text
    assert Process(old).tickets.redeem(made) is None
    assert Process(new).tickets.redeem(made) == TOKEN, "only the new key remains"


def test_a_ticket_does_not_contain_the_token() -> None:
    first, second = (Process().tickets.issue(TOKEN).text for _ in range(2))
    assert len(first) <= MOST_CHARACTERS
    assert first[16:] != second[16:]
    assert ticket_key(bytes(32)) != bytes(32)


def test_a_changed_ticket_is_refused() -> None:
    tickets = Process().tickets
    text = tickets.issue(TOKEN).text
    for at in range(0, len(text) - 1, 7):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert tickets.redeem(changed) is None
    for other in ("", "A", text[:-4], text + "AAAA", "\0", "ticket", "é" * 50, "A" * 100_000):
        assert tickets.redeem(other) is None
    assert tickets.redeem(text) == TOKEN, "a wrong ticket does not use the right one"


def test_used_tickets_are_stored_until_they_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.gateway.tickets.MOST_USED", 2)
    process = Process()
    tickets = process.tickets
    first = tickets.issue(TOKEN)
    assert tickets.redeem(first.text) == tickets.redeem(tickets.issue(TOKEN).text) == TOKEN
    with pytest.raises(Problem, match="2 tickets were used within 30 seconds"):
        tickets.redeem(tickets.issue(TOKEN).text)
    assert tickets.redeem(first.text) is None
    process.seconds = SECONDS
    assert tickets.redeem(tickets.issue(TOKEN).text) == TOKEN
    assert MOST_USED > 2
