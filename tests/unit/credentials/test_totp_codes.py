"""Codes by time: the window, each code once, and a clock that steps back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eventstore.credentials.tokens import Secret
from eventstore.credentials.totp_codes import (
    STEP_SECONDS,
    code_of,
    enrolment_uri,
    matching_step,
    new_secret,
    step_at,
)

SECRET = Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")  # of RFC 6238, appendix B
NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
STEP = step_at(NOW)


def matching(code: str, now: datetime = NOW, last: int = 0) -> int | None:
    return matching_step(SECRET, code, now, last)


@pytest.mark.parametrize(("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert code_of(SECRET, seconds // STEP_SECONDS) == code


@pytest.mark.parametrize(("offset", "found"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_before_and_after_counts(offset: int, found: bool) -> None:
    assert (matching(code_of(SECRET, STEP + offset)) == STEP + offset) is found


def test_a_code_works_once_and_no_older_one_works_after_it() -> None:
    for step in (STEP - 1, STEP, STEP + 1):
        assert matching(code_of(SECRET, step), last=step) is None
        assert matching(code_of(SECRET, step), last=step - 1) == step
    assert matching(code_of(SECRET, STEP - 1), last=STEP) is None


def test_after_a_clock_stepped_back_a_used_code_stays_used() -> None:
    before = NOW - timedelta(minutes=5)
    assert matching(code_of(SECRET, step_at(before)), before, last=STEP) is None


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345x", "\uff11\uff12\uff13\uff14\uff15\uff16", "000000\n", " 00000"]
)
def test_what_is_not_six_digits_is_wrong(code: str) -> None:
    assert matching(code) is None


def test_a_secret_has_160_bits_and_its_uri_has_what_an_app_needs() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(first.reveal()) == 32
    uri = enrolment_uri(first, "ada", "Daybook").reveal()
    assert uri == f"otpauth://totp/Daybook:ada?secret={first.reveal()}&issuer=Daybook"
