"""The process manager mailing: an event about a person asks for a mail, and one mail is queued for it.

A process is about one event. It sends `QueueMail` once; the id of the mail is made from the process, so the same event
never queues a second one. What becomes of the mail is on the mail's own stream (`domain.people.mail`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec.structs import replace

from domain.kernel import Event, Value
from domain.people.mail import MAIL, QueueMail, Template
from domain.people.person.events import (
    PersonApiKeyMade,
    PersonLockedOut,
    PersonMailAsked,
    PersonPasswordSet,
    PersonRegistered,
    PersonRoleGranted,
    PersonRoleRevoked,
    PersonSecondFactorRemoved,
    PersonSecondFactorSet,
    PersonSuspended,
)
from domain.people.person.mail import refuse_purpose
from domain.people.person.state import Person
from domain.process_manager import NOTHING, Answered, Happened, ProcessManager, Reaction, Retried, Trigger


def _asked(event: PersonMailAsked) -> Template:
    return event.purpose


def _of_administrators(template: Template) -> Callable[[Any], Template | None]:
    return lambda event: template if event.role == "administrator" else None


MAILS: Mapping[type[Event], Template | Callable[[Any], Template | None]] = {
    PersonRegistered: "verify",
    PersonMailAsked: _asked,
    PersonPasswordSet: "password_changed",
    PersonSuspended: "suspended",
    PersonRoleGranted: _of_administrators("administrator_granted"),
    PersonRoleRevoked: _of_administrators("administrator_revoked"),
    PersonLockedOut: "locked_out",
    PersonSecondFactorSet: "second_factor_set",
    PersonSecondFactorRemoved: "second_factor_removed",
    PersonApiKeyMade: "api_key_made",
}
"""The events of persons' streams that ask for a mail, and its template; a function where it depends on the event.

A new notice is a line here, a name in `domain.people.mail.Template`, and two files in `workers/mail/templates/`.
"""

Step = Literal["queueing", "blocked", "queued"]


class Mailing(Value, frozen=True):
    """A mail that an event asks for."""

    step: Step
    mail: str
    person: str
    template: Template
    cause_version: int


def template_of(event: Event) -> Template | None:
    """Return the template of the mail that the event asks for, or None."""
    named = MAILS[type(event)]
    return named(event) if callable(named) else named


def is_wanted(template: Template, person: Person) -> bool:
    """Return whether the mail still has a use. A notice goes only to an address that was verified.

    An address that was not may belong to somebody else, who is not told what happens to this person.
    """
    if template == "verify" or template == "reset":
        return refuse_purpose(person, template) is None
    return person.email_verified and person.status != "deleted"


def evolve(state: Mailing | None, trigger: Trigger) -> Mailing:
    match trigger:
        case Happened(event=event):
            template = template_of(event)
            if template is None:
                raise ValueError(f"{type(event).__name__} asks for no mail")
            return Mailing("queueing", trigger.id(MAIL), event.originator_id, template, event.originator_version)
        case Answered():
            return replace(_begun(state), step="queued" if trigger.outcome == "accepted" else "blocked")
        case Retried():
            return replace(_begun(state), step="queueing")
    raise TypeError(f"{type(trigger).__name__} is no trigger of a mailing")


def _begun(state: Mailing | None) -> Mailing:
    if state is None:
        raise ValueError("a mailing begins with an event that asks for a mail")
    return state


def react(state: Mailing, trigger: Trigger) -> Reaction:
    if state.step == "queueing":
        return Reaction((QueueMail(state.mail, state.person, state.template, state.cause_version),))
    if isinstance(trigger, Answered) and state.step == "blocked":
        return Reaction(attention=trigger.rule)
    return NOTHING


def _one_a_mail(event: Event) -> tuple[str, ...] | None:
    return None if template_of(event) is None else (event.originator_id, str(event.originator_version))


MANAGER = ProcessManager(
    name="mailing",
    state=Mailing,
    begins=dict.fromkeys(MAILS, _one_a_mail),
    concerns={},
    evolve=evolve,
    react=react,
    due=lambda state: None,
    ends=frozenset({"queued"}),
    sends=(QueueMail,),
)
