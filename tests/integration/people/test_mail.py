"""Mails to persons through a real mail server: tokens, retries, refusals, crashes, several workers, erased persons."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from threading import Barrier

import psycopg
import pytest

from domain.people.administrators import AppointAdministrator
from domain.people.mail import FIRST_PAUSE, MOST_ATTEMPTS, RetryMail
from domain.people.person.mail import PAUSE, AskForMail
from domain.people.person.profile import ChangeProfile
from domain.people.person.registration import ResetPassword
from domain.people.person.status import SuspendPerson
from eventstore.credentials.mail_tokens import Purpose, Used
from eventstore.credentials.store import CredentialsError
from eventstore.credentials.tokens import Secret
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError, UnavailableError
from eventstore.log.answers import Answer
from projections.people.mails import OpenMails, open_mails
from tests.samples.people.person import (
    active,
    by_administrator,
    by_self,
    registered,
    verified,
)
from tests.support.ledger import NOW, PRINCIPAL, assert_sound
from tests.support.mail import Mails, mail_server, mails_on, parts, sent, smtp
from tests.support.memory_ledger import MACHINE, VISITOR, By
from tests.support.postgres import Database
from workers.erasure import erase_subject
from workers.mail.failure import MailError
from workers.mail.sending import Delivery, Folder
from workers.ports import free_port
from workers.processes.worker import sender

ADA, BOB = "prsn_ada", "prsn_bob"
GREYLISTED, NO_SUCH_USER = "451 4.7.1 prsn_ada@example.com: try later", "550 5.1.1 prsn_ada@example.com unknown"


@pytest.fixture
def mails(database18: Database) -> Iterator[Mails]:
    """Persons and their mails. In the end the log is sound, and the tables are what the log says."""
    with mails_on(database18) as made:
        yield made
        assert made.processes.verify().ok
        assert_sound(database18)


class Pieces:
    """Keeps what is sent, and does before it what a test wants."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, EmailMessage]] = []

    def send(self, mail: str, message: EmailMessage, address: str) -> None:
        self.sent.append((address, message))


def asked(purpose: Purpose, after: timedelta = timedelta(), person: str = ADA) -> By:
    return By(VISITOR, AskForMail(person, purpose), NOW + after)


def token_in(message: EmailMessage) -> str:
    """The token of a message: the same in the link and beside it, in the text and in the HTML."""
    text, html = parts(message)
    found = {word.rpartition("#")[2] for word in text.split() if "dbm_" in word}
    [token] = found
    assert f"#{token}&#34;" in html or f'#{token}"' in html
    assert f"<code>{token}</code>" in html
    return token


def test_registering_sends_one_mail_whose_token_is_good(mails: Mails) -> None:
    mails.do(registered())
    with mail_server() as (inbox, port):
        assert sent(mails.worker(smtp(port))) == 1
        assert sent(mails.worker(smtp(port))) == 0
    [(addresses, message)] = inbox.received
    assert addresses == ("prsn_ada@example.com",)
    assert message["To"] == "prsn_ada@example.com", "the name of somebody who was not verified is not shown"
    assert (message["From"], message["Auto-Submitted"]) == ("Daybook <no-reply@daybook.example>", "auto-generated")
    mail = mails.one()
    assert message["Message-ID"] == f"<{mail.mail}@daybook.example>"
    assert message.get_content_type() == "multipart/alternative"
    assert "https://app.example/people/verify-email#dbm_" in parts(message)[0]
    assert (mail.status, mail.person, mail.template, mail.attempts) == ("sent", ADA, "verify", 1)
    token = token_in(message)
    assert mails.tokens.use(token, "verify", "key") == Used(ADA, 1)


def test_a_password_is_reset_by_the_newest_mail(mails: Mails) -> None:
    """Each event that asks for a mail has a mail of its own, and the last token is the one that is good."""
    mails.do(*active(), asked("reset"), asked("reset", PAUSE))
    with mail_server() as (inbox, port):
        sent(mails.worker(smtp(port)))
    made = mails.all()
    [first] = [mail for mail in made if mail.template == "verify"]
    assert (first.status, first.cause) == ("given_up", "unwanted"), "the address is verified already"
    assert len(made) == 3
    assert {message["To"] for _, message in inbox.received} == {"Ada Lovelace <prsn_ada@example.com>"}
    used = [mails.tokens.use(token_in(message), "reset", "key") for _, message in inbox.received]
    assert [one for one in used if isinstance(one, Used)] == [Used(ADA, 4)]


def test_notices_are_sent_for_what_happened(mails: Mails) -> None:
    machine = By(MACHINE, AppointAdministrator(BOB))
    mails.do(*active(), *active(BOB), By(VISITOR, ResetPassword(ADA)), machine)
    mails.do(by_administrator(SuspendPerson(ADA, "Spam")))
    with mail_server() as (inbox, port):
        sent(mails.worker(smtp(port)))
    subjects = {(addresses[0], message["Subject"]) for addresses, message in inbox.received}
    assert subjects == {
        ("prsn_ada@example.com", "Your password was changed"),
        ("prsn_ada@example.com", "Your account was suspended"),
        ("prsn_bob@example.com", "You are an administrator now"),
    }
    assert all("Spam" not in parts(message)[0] for _, message in inbox.received), "the reason is not for a mail"


def test_open_mails_are_counted_until_they_are_sent(mails: Mails) -> None:
    later = NOW + timedelta(seconds=90)
    with psycopg.connect(mails.processes.ledger.database.query_url, autocommit=True) as reading:
        assert open_mails(reading, later) == OpenMails(0, 0, 0.0)
        mails.do(registered())
        assert open_mails(reading, later) == OpenMails(waiting=1, failed=0, late_seconds=90.0)
        with mail_server() as (inbox, port):
            inbox.answers = [GREYLISTED]
            worker = mails.worker(smtp(port))
            sent(worker)
            mails.one()  # it is folded
            assert open_mails(reading, NOW) == OpenMails(waiting=0, failed=1, late_seconds=0.0), "it is not due yet"
            assert open_mails(reading, later) == OpenMails(0, 1, (later - NOW - FIRST_PAUSE).total_seconds())
            mails.processes.clock.forward(FIRST_PAUSE)
            sent(worker)
        assert mails.one().status == "sent"
        assert open_mails(reading, later) == OpenMails(0, 0, 0.0)


def test_a_mail_that_is_refused_for_now_is_tried_again(mails: Mails) -> None:
    mails.do(registered())
    with mail_server() as (inbox, port):
        inbox.answers = [GREYLISTED, GREYLISTED]
        worker = mails.worker(smtp(port))
        assert sent(worker) == 1
        failed = mails.one()
        assert (failed.status, failed.cause, failed.reply) == ("failed", "refused_for_now", 451)
        assert failed.next_at == NOW + FIRST_PAUSE
        mails.processes.clock.forward(FIRST_PAUSE)
        assert sent(worker) == 1
        assert mails.one().next_at == NOW + 3 * FIRST_PAUSE, "each pause is twice as long as the one before"
        mails.processes.clock.forward(2 * FIRST_PAUSE - timedelta(microseconds=1))
        assert sent(worker) == 0
        mails.processes.clock.forward(timedelta(microseconds=1))
        assert sent(worker) == 1
    mail = mails.one()
    assert (mail.status, mail.cause, mail.attempts, mail.next_at) == ("sent", None, 3, None)
    assert len(inbox.received) == 1


def test_a_mail_that_is_refused_for_ever_is_given_up_and_tried_again_if_somebody_asks(mails: Mails) -> None:
    mails.do(registered())
    with mail_server() as (inbox, port):
        inbox.answers = [NO_SUCH_USER]
        worker = mails.worker(smtp(port))
        assert sent(worker) == 1
        mail = mails.one()
        assert (mail.status, mail.cause, mail.reply, mail.next_at) == ("given_up", "refused", 550, None)
        mails.do(By(PRINCIPAL, RetryMail(mail.mail, "The address was made")))
        assert mails.one().status == "waiting"
        assert sent(worker) == 1
        assert mails.one().status == "sent"
    assert len(inbox.received) == 1


def test_a_server_that_is_away_is_tried_until_the_mail_is_given_up(mails: Mails) -> None:
    mails.do(registered())
    worker = mails.worker(smtp(free_port()))
    mail = mails.one()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert sent(worker) == 1
        mail = mails.one()
        assert (mail.cause, mail.reply, mail.attempts) == ("unreachable", None, attempt)
        if mail.next_at is not None:
            mails.processes.clock.now = mail.next_at
    assert mail.status == "given_up"
    assert mails.processes.clock.now - NOW == (2 ** (MOST_ATTEMPTS - 1) - 1) * FIRST_PAUSE
    assert mails.processes.clock.now - NOW < timedelta(hours=9)


def test_a_crash_after_the_server_took_it_sends_it_again_with_the_same_id(mails: Mails) -> None:
    """The token of the second copy is the one that is good: the first was replaced."""
    mails.do(registered())

    class Crash(BaseException):
        pass

    def crashing(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
        raise Crash

    with mail_server() as (inbox, port):
        with pytest.raises(Crash):
            mails.worker(smtp(port), crashing).sweep()
        assert mails.one().status == "waiting"
        assert sent(mails.worker(smtp(port))) == 1
    [(_, first), (_, second)] = inbox.received
    assert first["Message-ID"] == second["Message-ID"] is not None
    assert mails.one().attempts == 1
    assert mails.tokens.use(token_in(second), "verify", "key") == Used(ADA, 1)
    assert mails.tokens.use(token_in(first), "verify", "other") != Used(ADA, 1)


def test_what_cannot_be_recorded_for_a_while_is_not_sent_again(mails: Mails) -> None:
    mails.do(registered())
    usual = sender(mails.processes.ledger.executor)
    full = [True, True]

    def sometimes(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
        return [UnavailableError("full")] if full and full.pop() else usual(submissions)

    with mail_server() as (inbox, port):
        worker = mails.worker(smtp(port), sometimes)
        assert not worker.sweep()
        assert not worker.sweep()
        assert worker.sweep()
    assert len(inbox.received) == 1
    assert mails.one().status == "sent"


def test_two_workers_send_each_mail_once(mails: Mails) -> None:
    persons = [f"prsn_{number:02}" for number in range(12)]
    mails.do(*(registered(person) for person in persons))
    together = Barrier(2)
    with mail_server() as (inbox, port), ThreadPoolExecutor(2) as pool:
        workers = [mails.worker(smtp(port)) for _ in range(2)]

        def work(number: int) -> None:
            together.wait()
            sent(workers[number])

        list(pool.map(work, range(2)))
        for worker in workers:
            sent(worker)
    assert sorted(address for (address,), _ in inbox.received) == sorted(f"{person}@example.com" for person in persons)
    assert {mail.status for mail in mails.all()} == {"sent"}


def test_a_mail_that_another_worker_sends_is_left_to_it(mails: Mails) -> None:
    mails.do(registered())

    class Slow(Pieces):
        def send(self, mail: str, message: EmailMessage, address: str) -> None:
            assert not mails.worker(self).sweep(), "the other one finds nothing to do"
            super().send(mail, message, address)

    slow = Slow()
    assert sent(mails.worker(slow)) == 1
    assert len(slow.sent) == 1


def test_the_mail_of_an_erased_person_is_given_up(mails: Mails, database18: Database) -> None:
    mails.do(registered())
    with psycopg.connect(database18.url, autocommit=True) as owner:
        erase_subject(owner, mails.processes.ledger.log_number, ADA, "key")
    pieces = Pieces()
    assert sent(mails.worker(pieces)) == 1
    assert pieces.sent == []
    mail = mails.one()
    assert (mail.status, mail.cause) == ("given_up", "erased")


def test_a_token_that_was_used_is_not_mailed_again(mails: Mails) -> None:
    mails.do(registered())
    with mail_server() as (inbox, port):
        inbox.answers = ["250 OK", "250 OK"]

        def lost(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
            return [UnavailableError("full")] * len(submissions)

        mails.worker(smtp(port), lost).sweep()
        assert mails.tokens.use(token_in(inbox.received[0][1]), "verify", "key") == Used(ADA, 1)
        assert sent(mails.worker(smtp(port))) == 1
    assert len(inbox.received) == 1
    assert mails.one().cause == "superseded"


@pytest.mark.parametrize("international", [True, False])
def test_an_address_with_international_characters(mails: Mails, international: bool) -> None:
    """It is sent if the server can take it. Another server is not tried again."""
    mails.do(registered(email="jörg@example.com", name="Jörg Müller"), verified())
    mails.do(By(VISITOR, ResetPassword(ADA)))
    with mail_server(international=international) as (inbox, port):
        sent(mails.worker(smtp(port)))
    mail = mails.all()[-1]
    if not international:
        assert (mail.status, mail.cause) == ("given_up", "address_international")
        assert inbox.received == []
        return
    assert mail.status == "sent"
    [(addresses, message)] = inbox.received
    assert addresses == ("jörg@example.com",)
    assert message["To"] == "Jörg Müller <jörg@example.com>"


def test_an_international_name_needs_nothing_of_the_server(mails: Mails) -> None:
    mails.do(registered(name="Đặng Thị Hoà <b>"), verified())
    mails.do(By(VISITOR, ResetPassword(ADA)))
    with mail_server(international=False) as (inbox, port):
        sent(mails.worker(smtp(port)))
    [(_, message)] = inbox.received
    assert message["To"].addresses[0].display_name == "Đặng Thị Hoà <b>"
    text, html = parts(message)
    assert "Hello Đặng Thị Hoà <b>," in text
    assert "Hello Đặng Thị Hoà &lt;b&gt;," in html
    assert inbox.raw[0].isascii(), "headers and parts are encoded"


def test_the_name_is_the_newest_one(mails: Mails) -> None:
    mails.do(*active(), by_self(ChangeProfile(ADA, "Ada King")), By(VISITOR, ResetPassword(ADA)))
    pieces = Pieces()
    sent(mails.worker(pieces))
    assert [message["To"] for _, message in pieces.sent] == ["Ada King <prsn_ada@example.com>"]


def test_a_token_is_in_the_message_and_nowhere_else(
    mails: Mails, database18: Database, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Not in an event, a read table, a row of credentials, a log line, or the name of a file."""
    caplog.set_level(logging.DEBUG)
    folder = tmp_path / "mails"
    mails.do(registered())
    with mail_server() as (inbox, port):
        inbox.answers = [GREYLISTED]
        sent(mails.worker(smtp(port)))
    mails.processes.clock.forward(FIRST_PAUSE)
    assert sent(mails.worker(Folder(folder))) == 1
    [file] = folder.iterdir()
    assert file.name == f"{mails.one().mail}.eml"
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    message = message_from_bytes(file.read_bytes(), policy=SMTPUTF8)
    assert isinstance(message, EmailMessage)
    token = token_in(message)
    assert mails.tokens.use(token, "verify", "key") == Used(ADA, 1)
    of_the_server = ("mail.", "asyncio")  # the loggers of aiosmtpd
    lines = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith(of_the_server))
    assert "was sent at attempt 2" in lines
    kept = contents(database18)
    for secret in (token, token[4:], "prsn_ada@example.com", "Ada Lovelace"):
        assert secret not in lines
        in_read_table = secret in ("prsn_ada@example.com", "Ada Lovelace")  # of the table of people
        assert (secret in kept) is in_read_table, secret
    assert "try later" not in kept, "the server's text is kept nowhere"


def contents(database: Database) -> str:
    """All rows of all tables, as text."""
    found = []
    with psycopg.connect(database.url) as owner:
        tables = owner.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('log', 'read', 'credentials', 'library')"
        ).fetchall()
        for (table,) in tables:
            rows = owner.execute(f"SELECT encode(convert_to(t::text, 'UTF8'), 'escape') FROM {table} t").fetchall()
            found += [row for (row,) in rows]
        events = owner.execute("SELECT convert_from(payload, 'UTF8') FROM log.events").fetchall()
    assert events
    return "\n".join([*found, *(row for (row,) in events)])


def test_a_folder_that_cannot_be_written_is_tried_again(mails: Mails, tmp_path: Path) -> None:
    mails.do(registered())
    taken = tmp_path / "a file"
    taken.touch()
    assert sent(mails.worker(Folder(taken))) == 1
    assert (mails.one().status, mails.one().cause) == ("failed", "folder")


def test_a_mail_that_cannot_be_made_rests_and_the_others_go_on(mails: Mails, caplog: pytest.LogCaptureFixture) -> None:
    """The message names the class of the error, and not its text, which may be personal."""
    mails.do(registered(), registered(BOB))
    tokens = mails.tokens

    class Faulty:
        def issue(self, person: str, purpose: Purpose, version: int) -> Secret | None:
            if person == ADA:
                raise CredentialsError("prsn_ada@example.com is refused")
            return tokens.issue(person, purpose, version)

    pieces = Pieces()
    worker = mails.worker(pieces, tokens=Faulty())
    sent(worker)
    assert not worker.sweep()
    assert {(mail.person, mail.status) for mail in mails.all()} == {(ADA, "waiting"), (BOB, "sent")}
    [line] = [message for message in caplog.messages if "cannot go on" in message]
    assert line.endswith("is tried again in 60 s: CredentialsError")


def test_one_mail_that_fails_does_not_hold_the_others_up(mails: Mails) -> None:
    mails.do(registered(), registered(BOB))

    class NotAda(Pieces):
        def send(self, mail: str, message: EmailMessage, address: str) -> None:
            if "ada" in address:
                raise MailError("unreachable")
            super().send(mail, message, address)

    delivery: Delivery = NotAda()
    sent(mails.worker(delivery))
    assert {(mail.person, mail.status) for mail in mails.all()} == {(ADA, "failed"), (BOB, "sent")}
