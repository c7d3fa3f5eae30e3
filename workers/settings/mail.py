"""Mails: who sends them, by which server, and where their links lead."""

from __future__ import annotations

import re
from email.utils import getaddresses
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from workers.mail.sending import server_of
from workers.settings.base import LINK, Part

_SENDER = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)


class Mail(Part):
    """What `daybook mail` sends with."""

    mail_from: str | None = Field(
        default=None,
        description="Who sends mails, as `Daybook <no-reply@example.com>`; required with `DAYBOOK_SMTP_URL`",
    )
    mail_link: str | None = Field(
        default=None,
        max_length=500,
        description="Beginning of the links in mails, such as `https://app.example.com`, to which `/verify-email#` or "
        "`/reset-password#` and a token are added; required with `DAYBOOK_SMTP_URL`",
    )
    mail_folder: Path | None = Field(
        default=None,
        description="Folder into which `daybook mail` writes mails instead of sending them, for development. "
        "`daybook up` sets it to `mails` in the data folder if there is no `DAYBOOK_SMTP_URL`",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        repr=False,
        description="The mail server of `daybook mail`: `smtps://user:password@host:465`, `smtp+starttls://…` or, "
        "without a password or on this machine, `smtp://host:25`",
    )

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, text: str | None) -> str | None:
        if text is None:
            return None
        addresses = [address for _, address in getaddresses([text])]
        if not (text.isprintable() and len(addresses) == 1 and _SENDER.fullmatch(addresses[0])):
            raise ValueError("it should look like Daybook <no-reply@example.com>, with an address of ASCII characters")
        return text

    @field_validator("mail_link")
    @classmethod
    def _is_link(cls, text: str | None) -> str | None:
        if text is not None and LINK.fullmatch(text) is None:
            raise ValueError(
                "it should look like https://app.example.com/path, or http:// on this machine, without ? and #"
            )
        return text

    @field_validator("smtp_url")
    @classmethod
    def _is_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            server_of(url.get_secret_value())
        return url
