"""Tokens in mails: each works once, for one purpose, within its time, and for a retry of the same command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.mail_tokens import LIFETIMES, MailTokens, Purpose, Refused, Used
from tests.support.credentials import MovedClock

ADA, LOG = "prsn_ada", 1


@pytest.fixture
def tokens(pool: ConnectionPool[Connection[Any]], clock: MovedClock) -> MailTokens:
    return MailTokens(pool, LOG, clock)


def issued(tokens: MailTokens, purpose: Purpose = "reset", version: int = 2, person: str = ADA) -> str:
    token = tokens.issue(person, purpose, version)
    assert token is not None
    return token.reveal()


def test_a_token_works_once_and_again_for_a_retry_of_the_same_command(tokens: MailTokens) -> None:
    token = issued(tokens)
    assert tokens.use(token, "reset", "key-1") == Used(ADA, 2)
    assert tokens.use(token, "reset", "key-1") == Used(ADA, 2)
    assert tokens.use(token, "reset", "key-2") == Refused("used")


@pytest.mark.parametrize("purpose", ["verify", "reset"])
def test_a_token_works_until_just_before_its_expiry(tokens: MailTokens, clock: MovedClock, purpose: Purpose) -> None:
    early, late = issued(tokens, purpose), issued(tokens, purpose, person="prsn_bob")
    clock.now += LIFETIMES[purpose] - timedelta(microseconds=1)
    assert tokens.use(early, purpose, "key-1") == Used(ADA, 2)
    clock.now += timedelta(microseconds=1)
    assert tokens.use(late, purpose, "key-2") == Refused("expired")
    assert tokens.use(early, purpose, "key-1") == Used(ADA, 2), "a retry gets the same answer"


def test_what_was_found_expired_stays_so_when_the_clock_steps_back(tokens: MailTokens, clock: MovedClock) -> None:
    token = issued(tokens)
    clock.move(hours=1)
    assert tokens.use(token, "reset", "key-1") == Refused("expired")
    clock.move(hours=-1)
    assert tokens.use(token, "reset", "key-1") == Refused("expired")


def test_a_used_token_stays_used_and_a_fresh_one_works_when_the_clock_steps_back(
    tokens: MailTokens, clock: MovedClock
) -> None:
    used, fresh = issued(tokens), issued(tokens, "verify")
    tokens.use(used, "reset", "key-1")
    clock.move(days=-100)
    assert tokens.use(used, "reset", "key-2") == Refused("used")
    assert tokens.use(fresh, "verify", "key-3") == Used(ADA, 2)


def test_a_token_is_for_one_purpose(tokens: MailTokens) -> None:
    assert tokens.use(issued(tokens, "verify"), "reset", "key-1") == Refused("unknown")


def test_a_later_event_takes_the_place_and_an_earlier_one_does_not(tokens: MailTokens) -> None:
    first, second = issued(tokens), issued(tokens, version=3)
    assert tokens.issue(ADA, "reset", 2) is None
    assert tokens.use(first, "reset", "key-1") == Refused("unknown")
    assert tokens.use(second, "reset", "key-1") == Used(ADA, 3)


def test_a_worker_that_ended_before_the_mail_was_sent_makes_another_token(tokens: MailTokens) -> None:
    first, second = issued(tokens), issued(tokens)
    assert tokens.use(first, "reset", "key-1") == Refused("unknown")
    assert tokens.use(second, "reset", "key-1") == Used(ADA, 2)
    assert tokens.issue(ADA, "reset", 2) is None, "it was used"


def test_of_many_commands_at_once_one_uses_the_token(tokens: MailTokens) -> None:
    for number in range(20):
        token = issued(tokens, version=number + 1)
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda key, token=token: tokens.use(token, "reset", key), "abcd"))
        assert results.count(Used(ADA, number + 1)) == 1
        assert results.count(Refused("used")) == 3


def test_nobody_has_an_unknown_token(tokens: MailTokens) -> None:
    for token in ("", "dbm_x", "x" * 1_000_000, "\ud800", "a\0b"):
        assert tokens.use(token, "reset", "key-1") == Refused("unknown")
