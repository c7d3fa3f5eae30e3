"""A mail with a token that somebody asks for, to verify the address of a person or to reset their password.

Anybody may ask, so how often it is done in a time is bounded for each person and purpose.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.kernel import Accepted, Context, Decision, Refused, Value
from domain.people.person.access import about_person
from domain.people.person.events import MailPurpose, PersonMailAsked
from domain.people.person.state import MOST_MAILS, Person

PAUSE = timedelta(seconds=60)
"""Between two mails of a purpose."""
WINDOW = timedelta(hours=1)
"""In which a person is sent `MOST_MAILS` mails of a purpose at most."""

RULES: dict[str, str] = {
    "mail_too_soon": "A mail to {purpose} was asked for at {last}; the next one can be asked for at {next}.",
    "mail_count": "{most} mails to {purpose} were asked for within an hour; the next one can be asked for at {next}.",
}


class AskForMail(Value, frozen=True):
    """Ask for a mail with a token. The mail worker makes the token."""

    person: str
    purpose: MailPurpose

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


@about_person
def ask_for_mail(command: AskForMail, person: Person, context: Context) -> Decision:
    refusal = refuse_purpose(person, command.purpose) or refuse_often(person, command.purpose, context.decided_at)
    if refusal is not None:
        return refusal
    event = PersonMailAsked(person.id, person.version + 1, command.purpose, context.decided_at)
    return Accepted((event,), {"person": person.id})


def refuse_purpose(person: Person, purpose: MailPurpose) -> Refused | None:
    """Return the refusal of a mail for which there is no use, or None."""
    if purpose == "reset":
        return person.refuse_unless("mailed a token to set a new password", "pending", "active")
    refusal = person.refuse_unless("mailed a token to verify the address", "pending", "active", "suspended")
    if refusal is not None:
        return refusal
    return Refused("email_verified_already", {"person": person.id}) if person.email_verified else None


def refuse_often(person: Person, purpose: MailPurpose, at: datetime) -> Refused | None:
    """Return the refusal of one more mail at this time, or None."""
    asked = person.mails_asked(purpose)
    if asked and at < asked[-1] + PAUSE:
        figures = {"purpose": purpose, "last": asked[-1].isoformat(), "next": (asked[-1] + PAUSE).isoformat()}
        return Refused("mail_too_soon", dict(figures))
    if len(asked) == MOST_MAILS and at < asked[0] + WINDOW:
        next = (asked[0] + WINDOW).isoformat()
        return Refused("mail_count", {"purpose": purpose, "most": MOST_MAILS, "next": next})
    return None
