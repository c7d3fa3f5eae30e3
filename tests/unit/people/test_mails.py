"""Mails to persons: when one may be asked for, what asks for one, how long to wait, and what a message looks like."""

from __future__ import annotations

from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, get_args

import pytest

from domain.kernel import Event
from domain.people.mail import FIRST_PAUSE, MOST_ATTEMPTS, Mail, RecordMailFailed, Template, pause_after
from domain.people.mailing import MAILS, MANAGER, is_wanted, template_of
from domain.people.person.events import PersonMailAsked, PersonRoleGranted, PersonRoleRevoked
from domain.people.person.mail import PAUSE, WINDOW, AskForMail
from domain.people.person.state import MOST_MAILS, Person
from domain.people.person.status import DeletePerson, ReactivatePerson, SuspendPerson
from domain.process_manager import Happened
from domain.registry import CATALOGUE, PREFIXES, forbid
from tests.samples.people.mail import queued
from tests.samples.people.person import MOMENT, active, by_administrator, mail_asked, registered, verified
from tests.support.memory_ledger import NOW, MemoryLedger, by_person
from workers.mail.composing import LONGEST_LINE, Recipient, Sender, compose, link_of, one_line
from workers.mail.failure import MailError

SENDER = Sender(Address("Daybook", addr_spec="no-reply@daybook.example"), "https://app.example")
TOKEN = f"dbm_{'a' * 43}_123456"
TEMPLATES: tuple[Template, ...] = get_args(Template)


def ledger_with(*commands: Any) -> MemoryLedger:
    ledger = MemoryLedger()
    for command in commands:
        ledger.accepted(command)
    return ledger


def composed(template: Template = "reset", address: str = "ada@example.com", name: str | None = "Ada") -> EmailMessage:
    return compose("mail_1", template, SENDER, Recipient(address, name), TOKEN, NOW)


# When a mail may be asked for


def test_a_mail_to_verify_is_for_whoever_is_not_verified() -> None:
    ledger = ledger_with(registered(), by_administrator(SuspendPerson("prsn_ada", "Spam")), mail_asked())
    assert ledger["prsn_ada"].mails_asked("verify") == (NOW,)
    ledger = ledger_with(*active())
    assert ledger.refused(mail_asked()).rule == "email_verified_already"


def test_a_mail_to_reset_is_for_whoever_may_set_a_password() -> None:
    ledger = ledger_with(registered(), mail_asked(purpose="reset"), verified())
    ledger.accepted(mail_asked(PAUSE, "reset"))
    ledger.accepted(by_administrator(SuspendPerson("prsn_ada", "Spam")))
    assert ledger.refused(mail_asked(2 * PAUSE, "reset")).rule == "person_status"
    ledger.accepted(by_administrator(ReactivatePerson("prsn_ada", "Sorry")))
    ledger.accepted(by_administrator(DeletePerson("prsn_ada", "Asked for")))
    assert ledger.refused(mail_asked(2 * PAUSE, "reset")).rule == "person_status"


def test_five_mails_of_a_purpose_in_an_hour_are_the_most_at_any_moment() -> None:
    """The window moves: each mail leaves it an hour after it was asked for."""
    times = [number * PAUSE for number in range(MOST_MAILS)]
    ledger = ledger_with(registered(), *map(mail_asked, times))
    assert ledger.refused(mail_asked(WINDOW - MOMENT)).rule == "mail_count"
    ledger.accepted(mail_asked(WINDOW))
    assert ledger.refused(mail_asked(WINDOW + PAUSE - MOMENT)).rule == "mail_too_soon"
    ledger.accepted(mail_asked(WINDOW + PAUSE))
    assert len(ledger["prsn_ada"].mails_asked("verify")) == MOST_MAILS, "no more times are kept than are needed"


def test_a_mail_of_one_purpose_does_not_count_for_the_other() -> None:
    ledger = ledger_with(registered(), mail_asked(), mail_asked(purpose="reset"))
    assert ledger.refused(mail_asked(MOMENT)).rule == "mail_too_soon"


def test_only_a_visitor_asks() -> None:

    command = AskForMail("prsn_ada", "reset")
    assert forbid(by_person("prsn_ada", "administrator"), command, NOW) is not None


# What asks for a mail


def test_every_event_that_asks_for_a_mail_is_of_a_person() -> None:
    assert {PREFIXES[event] for event in MAILS} == {"prsn_"}
    assert set(MANAGER.begins) == set(MAILS)


def test_a_role_is_told_only_of_administrators() -> None:
    assert template_of(PersonRoleGranted("prsn_ada", 2, "administrator", None, None)) == "administrator_granted"
    assert template_of(PersonRoleRevoked("prsn_ada", 3, "administrator")) == "administrator_revoked"
    for event in (PersonRoleGranted("prsn_ada", 2, "author", None, None), PersonRoleRevoked("prsn_ada", 3, "author")):
        assert template_of(event) is None
        assert MANAGER.process_of(event) is None


def test_an_event_queues_one_mail_with_an_id_of_its_own() -> None:
    def mail_of(event: Event) -> str:
        process = MANAGER.process_of(event)
        assert process is not None
        trigger = Happened(process, "event:7", event)
        [intent] = MANAGER.react(MANAGER.evolve(None, trigger), trigger).intents
        assert (intent.person, intent.template, intent.cause_version) == ("prsn_ada", "reset", event.originator_version)
        return str(intent.mail)

    first, second = PersonMailAsked("prsn_ada", 2, "reset", NOW), PersonMailAsked("prsn_ada", 3, "reset", NOW)
    assert mail_of(first) == mail_of(first) != mail_of(second)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_mail_is_wanted_while_it_has_a_use(template: Template) -> None:
    pending = ledger_with(registered())["prsn_ada"]
    verified_one = ledger_with(*active())["prsn_ada"]
    deleted = ledger_with(*active(), by_administrator(DeletePerson("prsn_ada", "Asked for")))["prsn_ada"]
    assert isinstance(pending, Person)
    wanted = [is_wanted(template, person) for person in (pending, verified_one, deleted)]
    assert wanted == {"verify": [True, False, False], "reset": [True, True, False]}.get(template, [False, True, False])


# How long to wait


def test_each_pause_is_twice_as_long_and_the_last_attempt_gives_up() -> None:
    ledger = ledger_with(queued())
    waited = timedelta()
    for attempt in range(1, MOST_ATTEMPTS):
        ledger.accepted(RecordMailFailed("mail_1", attempt, "unreachable"))
        mail = ledger.states["mail_1"]
        assert isinstance(mail, Mail)
        assert mail.next_at == NOW + pause_after(attempt), "from the time of the decision"
        assert not mail.is_due(NOW + pause_after(attempt) - MOMENT)
        assert mail.is_due(NOW + pause_after(attempt))
        waited += pause_after(attempt)
    ledger.accepted(RecordMailFailed("mail_1", MOST_ATTEMPTS, "unreachable"))
    mail = ledger.states["mail_1"]
    assert isinstance(mail, Mail)
    assert (mail.status, mail.next_at) == ("given_up", None)
    assert pause_after(1) == FIRST_PAUSE
    assert timedelta(hours=8) < waited < timedelta(hours=9)


def test_a_cause_that_stays_gives_up_at_once() -> None:
    ledger = ledger_with(queued(), RecordMailFailed("mail_1", 1, "refused", 550))
    assert ledger["mail_1"].status == "given_up"


def test_no_event_of_a_mail_has_text() -> None:
    """The reason of who asks for another try is the only text, and is sealed."""
    personal = {entry.name: entry.personal for entry in CATALOGUE if entry.name.startswith("mail.")}
    assert {name for name, fields in personal.items() if fields} == {"mail.retried.v1"}


# What a message looks like


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", [None, "Ada <b>Lovelace</b> & Đặng"])
def test_every_template_is_text_and_html_with_one_subject(template: Template, name: str | None) -> None:
    message = composed(template, name=name)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert message["Subject"]
    assert message.keys().count("Subject") == 1
    assert "{" not in text.get_content() + html.get_content()
    assert "<b>" not in html.get_content()
    has_token = template in ("verify", "reset")
    assert (TOKEN in text.get_content(), TOKEN in html.get_content()) == (has_token, has_token)
    assert all(len(line) <= LONGEST_LINE for line in message.as_bytes().splitlines())


@pytest.mark.parametrize(
    "name",
    ["Ada\r\nBcc: eve@example.com", "Ada\nBcc: eve@example.com", "Ada\x85Bcc: eve@example.com", "A\u2028Bcc: e@f.gh"],
)
def test_a_name_adds_no_header(name: str) -> None:
    message = composed(name=name)
    head = message.as_bytes().partition(b"\r\n\r\n")[0]
    assert b"\r\nBcc:" not in head
    assert message["Bcc"] is None
    [address] = message["To"].addresses
    assert (address.addr_spec, "\n" in address.display_name) == ("ada@example.com", False)


@pytest.mark.parametrize(
    "address",
    ["ada", "@example.com", "ada@", "a\nBcc: eve@example.com@example.com", "ada@example.com\r\nBcc: eve@example.com",
     "ada@exämple.com", "ada lovelace@example.com", "ada@example.com>\x00"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(MailError, match="address_malformed"):
        composed(address=address)


def test_the_token_stands_behind_the_number_sign() -> None:
    assert (
        link_of("https://app.example/people/", "reset", TOKEN) == f"https://app.example/people/reset-password#{TOKEN}"
    )


def test_nothing_personal_is_in_a_repr() -> None:
    assert "ada" not in repr(Recipient("ada@example.com", "ada"))


def test_one_line() -> None:
    assert one_line(" Ada\t\u200e Love\u2029lace ") == "Ada Love lace"
