"""Makes the message of a mail from its templates: plain text and HTML in one message.

A template is two files in `templates/`: `NAME.txt`, whose first line is the subject, and `NAME.html`. The HTML is
escaped. A name is shown only where the address was verified; else anybody could send their text to anybody, as the
name of a person who they register.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from domain.people.mail import Template
from eventstore.credentials.mail_tokens import LIFETIMES, Purpose
from workers.mail.failure import MailError

PAGES: Final[dict[Purpose, str]] = {"verify": "verify-email", "reset": "reset-password"}
"""The last part of the address of the page that takes the token."""
LONGEST_LINE = 998
"""Characters of a line that is sent as it is (RFC 5322, section 2.1.1)."""
SECONDS_OF_AN_HOUR = 3600

_TEMPLATES = Environment(
    loader=PackageLoader("workers.mail", "templates"),
    autoescape=select_autoescape(enabled_extensions=("html",), default_for_string=True, default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a mail. `name` is None where the address was not verified. The repr has neither."""

    address: str
    name: str | None

    def __repr__(self) -> str:
        return "Recipient(…)"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends mails, and the beginning of the links in them."""

    address: Address
    link: str

    def message_id(self, mail: str) -> str:
        """Return the Message-ID of a mail. It stays the same in every attempt, so a second copy can be recognised."""
        return f"<{mail}@{self.address.domain}>"


def link_of(base: str, purpose: Purpose, token: str) -> str:
    """Return the link with a token. It stands behind the #, so no server and no access log gets it."""
    return f"{base.rstrip('/')}/{PAGES[purpose]}#{token}"


def compose(
    mail: str, template: Template, sender: Sender, recipient: Recipient, token: str | None, at: datetime
) -> EmailMessage:
    """Return the message. Raises `MailError` for an address that mail cannot be sent to."""
    international = not recipient.address.isascii()
    name = None if recipient.name is None else one_line(recipient.name)
    values: dict[str, str | int | None] = {"name": name}
    if template == "verify" or template == "reset":
        assert token is not None, f"a mail to {template} has a token"
        hours = int(LIFETIMES[template].total_seconds()) // SECONDS_OF_AN_HOUR
        values |= {"token": token, "link": link_of(sender.link, template, token), "hours": hours}
    text = _TEMPLATES.get_template(f"{template}.txt").render(values)
    subject, _, text = text.partition("\n")
    html = _TEMPLATES.get_template(f"{template}.html").render(values)
    message = EmailMessage(policy=SMTPUTF8 if international else SMTP)
    message["From"] = sender.address
    message["To"] = address_of(recipient.address, name)
    message["Subject"] = subject.strip()
    message["Date"] = at
    message["Message-ID"] = sender.message_id(mail)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer by a program
    message.set_content(text.strip() + "\n", cte=_encoding(text))
    message.add_alternative(html.strip() + "\n", subtype="html", cte=_encoding(html))
    return message


def address_of(address: str, name: str | None) -> Address:
    """Return the address for a header. Raises `MailError` for one that could change the header, or is none."""
    local, _, domain = address.rpartition("@")
    if not (local and domain and domain.isascii()) or not address.isprintable() or " " in address:
        raise MailError("address_malformed")
    try:
        return Address(name or "", username=local, domain=domain)
    except (ValueError, IndexError):
        raise MailError("address_malformed") from None


def one_line(text: str) -> str:
    """Return a text without line breaks and other characters that are not shown, as one line."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _encoding(text: str) -> str:
    plain = text.isascii() and all(len(line) <= LONGEST_LINE for line in text.splitlines())
    return "7bit" if plain else "quoted-printable"
