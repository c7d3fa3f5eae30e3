"""No secret is in the database, in a log line, a repr or an error: each one that a life of a person has is searched."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.attempts import Attempts, name_key
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.credentials.password_rules import broken_rules
from eventstore.credentials.passwords import Passwords
from eventstore.credentials.scopes import Scope
from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.sessions import Refreshed, Sessions
from eventstore.credentials.store import CredentialsError
from eventstore.credentials.totp_codes import code_of, step_at
from eventstore.keys.sealing import Sealer
from tests.support.credentials import SMALL, MovedClock
from tests.support.keys import Keys
from tests.support.postgres import Database
from tests.support.searching import dump, found

ADA, LOG = "prsn_ada", 1
PASSWORDS = ("Vq7!kzRw-one", "Kp3?mnTz-two", "Wrong4?guess", "Pw5?as-a-name")


class Life:
    """Uses every store, and collects each secret and everything that came back."""

    def __init__(self, pool: ConnectionPool[Connection[Any]], clock: MovedClock) -> None:
        self.secrets: list[str] = list(PASSWORDS)
        self.seen: list[object] = []
        self.clock = clock
        self.passwords = Passwords(pool, LOG, Argon2(SMALL), clock)
        self.sessions = Sessions(pool, LOG, clock)
        self.mail_tokens = MailTokens(pool, LOG, clock)
        self.factor = SecondFactor(pool, LOG, Sealer(Keys(), bytes(32)), clock)
        self.keys = ApiKeys(pool, LOG, clock)
        self.attempts = Attempts(pool, LOG, name_key(bytes(32)), clock)

    def live(self) -> None:
        self.passwords_and_attempts()
        self.sessions_and_mails()
        self.second_factor()
        self.api_keys()

    def passwords_and_attempts(self) -> None:
        first, second, wrong, as_name = PASSWORDS
        self.passwords.write(ADA, 1, self.passwords.hash(first))
        self.passwords.write(ADA, 2, self.passwords.hash(second))
        self.seen += [self.passwords.check(ADA, second), self.passwords.check(None, wrong), self.passwords]
        self.seen.append(self.attempts.begin([self.attempts.of_name(None, as_name)]))
        self.seen += broken_rules(wrong, username=wrong, email=wrong)
        self.refused(lambda: self.passwords.write(ADA, 3, wrong))

    def sessions_and_mails(self) -> None:
        opened = self.sessions.open("sess_1", ADA, 2)
        assert opened is not None
        result = self.sessions.refresh(self.shown(opened.token))
        assert isinstance(result, Refreshed)
        self.seen += [opened, result, self.sessions.refresh(opened.token.reveal()), self.sessions.of(ADA)]
        self.seen += [self.sessions.find(self.shown(result.token)), self.sessions]
        token = self.mail_tokens.issue(ADA, "reset", 2)
        self.seen += [token, self.mail_tokens.use(self.shown(token), "reset", "key")]
        self.shown(self.mail_tokens.issue(ADA, "verify", 2))

    def second_factor(self) -> None:
        enrolment = self.factor.begin(ADA, "ada", "Daybook")
        assert enrolment is not None
        self.shown(enrolment.secret)
        assert self.factor.confirm(ADA, code_of(enrolment.secret, step_at(self.clock.now)))
        self.factor.activate(ADA, 3)
        codes = self.factor.make_codes(ADA, 3)
        assert codes is not None
        self.secrets += [self.shown(code).replace("-", "") for code in codes]
        assert self.factor.use_recovery_code(ADA, codes[0].reveal())
        self.seen += [enrolment, codes, self.factor]

    def api_keys(self) -> None:
        key = self.keys.create("akey_1", ADA, 4, name="x", scope=Scope(frozenset({"posts"})), per_minute=1)
        self.seen += [key, self.keys.find(self.shown(key)), self.keys.find(self.shown(key)[:-1] + "!")]
        rotated = self.keys.rotate("akey_1", "akey_2", 5, overlap=timedelta(days=1))
        self.seen += [rotated, self.keys.of(ADA)]
        self.shown(rotated)

    def shown(self, secret: Any) -> str:
        text = secret.reveal()
        assert isinstance(text, str)
        self.secrets.append(text)
        return text

    def refused(self, call: Callable[[], object]) -> None:
        with pytest.raises(CredentialsError) as error:
            call()
        self.seen += [error.value, error.value.args, error.value.__context__]


def test_no_secret_is_in_the_database_a_log_line_a_repr_or_an_error(
    pool: ConnectionPool[Connection[Any]],
    clock: MovedClock,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    life = Life(pool, clock)
    with caplog.at_level(logging.DEBUG):
        life.live()
    assert len(life.secrets) > 30
    dumped = dump(database)
    assert dumped.count(b"INSERT INTO credentials.") >= 20
    assert found(life.secrets, dumped) == []
    assert found(life.secrets, caplog.text.encode()) == []
    assert found(life.secrets, repr(life.seen).encode()) == []
    assert found(life.secrets, " ".join(str(one) for one in life.seen).encode()) == []


@pytest.mark.parametrize("form", [*range(3)])
def test_the_search_finds_a_secret_that_is_kept(database: Database, form: int) -> None:
    """Else the test above would prove nothing."""
    secret = "Vq7!kzRw-one"
    kept = [secret.encode(), secret.encode().hex().encode(), base64.b64encode(b"xy" + secret.encode())][form]
    with psycopg.connect(database.url, autocommit=True) as superuser:
        superuser.execute(
            "INSERT INTO credentials.attempts VALUES (1, 'person', %s, 1, now())", (f"<{kept.decode()}>",)
        )
    assert found([secret], dump(database)) == [secret]


def test_an_auditor_sees_who_has_what_and_no_hash(
    pool: ConnectionPool[Connection[Any]], clock: MovedClock, database: Database
) -> None:
    Life(pool, clock).live()
    with psycopg.connect(database.audit_url) as auditor:
        cursor = auditor.execute("SELECT * FROM credentials.held ORDER BY kind, id")
        assert [column.name for column in cursor.description or ()] == [
            "log",
            "person",
            "kind",
            "id",
            "version",
            "since",
            "ended_at",
        ]
        rows = cursor.fetchall()
    assert {row[1] for row in rows} == {ADA}
    assert [(row[2], row[3], row[4]) for row in rows] == [
        ("API key", "akey_1", 4),
        ("API key", "akey_2", 5),
        ("mail token to reset", None, 2),
        ("mail token to verify", None, 2),
        ("password", None, 2),
        ("recovery codes", None, 3),
        ("second factor", None, 3),
        ("session", "sess_1", 2),
    ]
