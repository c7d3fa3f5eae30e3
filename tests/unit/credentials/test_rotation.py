"""Refresh rotation as a decision, and a model of it against histories in any order with a clock that may step back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.credentials.rotation import Lifetimes, Presented, Refuse, Rotate, decide

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDLE, ABSOLUTE = timedelta(hours=2), timedelta(hours=5)
TICK = timedelta(microseconds=1)
FRESH = Presented("sess_1", "prsn_1", 1, NOW + ABSOLUTE, None, NOW, NOW + IDLE, None)


def reason(row: Presented, now: datetime) -> str | None:
    decision = decide(row, now, IDLE)
    return decision.reason if isinstance(decision, Refuse) else None


def test_an_unused_token_is_replaced_until_just_before_its_idle_end() -> None:
    assert decide(FRESH, NOW + IDLE - TICK, IDLE) == Rotate(NOW + IDLE - TICK, NOW + 2 * IDLE - TICK)
    assert reason(FRESH, NOW + IDLE) == "expired"


def test_the_idle_end_is_never_after_the_absolute_end() -> None:
    late = FRESH._replace(idle_end=NOW + ABSOLUTE)
    assert decide(late, NOW + ABSOLUTE - TICK, IDLE) == Rotate(NOW + ABSOLUTE - TICK, NOW + ABSOLUTE)
    assert reason(late, NOW + ABSOLUTE) == "expired"


def test_a_used_token_is_a_reuse_however_late_it_comes() -> None:
    used = FRESH._replace(used_at=NOW)
    assert reason(used, NOW) == "reused"
    assert reason(used, NOW + 2 * ABSOLUTE) == "reused"
    assert reason(used, NOW - timedelta(days=1)) == "reused"


def test_nothing_changes_a_session_that_has_ended() -> None:
    for row in (FRESH, FRESH._replace(used_at=NOW)):
        assert reason(row._replace(ended_at=NOW), NOW) == "ended"


def test_a_clock_behind_the_time_of_issue_is_read_as_that_time() -> None:
    assert decide(FRESH, NOW - timedelta(days=3), IDLE) == Rotate(NOW, NOW + IDLE)


@pytest.mark.parametrize("idle", [timedelta(0), -TICK, ABSOLUTE + TICK])
def test_lifetimes_that_make_no_sense_are_refused(idle: timedelta) -> None:
    with pytest.raises(ValueError, match="the idle limit"):
        Lifetimes(idle, ABSOLUTE)
    assert Lifetimes(ABSOLUTE, ABSOLUTE).idle == ABSOLUTE


class Family:
    """A session as the store keeps it, without a database."""

    def __init__(self) -> None:
        self.rows = [FRESH]
        self.ended_at: datetime | None = None
        self.found_expired: set[int] = set()

    def present(self, number: int, now: datetime) -> Rotate | Refuse:
        row = self.rows[number]._replace(ended_at=self.ended_at)
        decision = decide(row, now, IDLE)
        if isinstance(decision, Rotate):
            self.rows[number] = row._replace(used_at=decision.at)
            self.rows.append(row._replace(issued_at=decision.at, idle_end=decision.idle_end, used_at=None))
        elif self.ended_at is None:
            self.ended_at = now
        return decision


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-400, 400)), max_size=40))
def test_in_any_history_each_token_rotates_once_and_an_ended_family_stays_ended(history: list[tuple[int, int]]) -> None:
    """Tokens in any order, the clock going forward and back by minutes."""
    family, now = Family(), NOW
    rotated: set[int] = set()
    for chosen, minutes in history:
        number, now = chosen % len(family.rows), now + timedelta(minutes=minutes)
        had_ended = family.ended_at is not None
        decision = family.present(number, now)
        if isinstance(decision, Rotate):
            assert not had_ended
            assert number not in rotated
            assert number == len(family.rows) - 2, "only the newest token rotates"
            assert decision.idle_end <= FRESH.ends_at
            rotated.add(number)
        else:
            assert family.ended_at is not None, "whatever is refused ends the family"
        if number in rotated and not isinstance(decision, Rotate):
            assert decision.reason in ("reused", "ended")
    issued = [row.issued_at for row in family.rows]
    assert issued == sorted(issued), "times of issue never fall"
    assert sum(row.used_at is None for row in family.rows) == 1, "at most one token could be used"
