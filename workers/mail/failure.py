"""Why a mail was not sent: a code, and the code of the server's answer. Never its text, which may have an address."""

from __future__ import annotations

from domain.people.mail import Cause


class MailError(Exception):
    """A mail was not sent."""

    def __init__(self, cause: Cause, reply: int | None = None) -> None:
        super().__init__(cause if reply is None else f"{cause} ({reply})")
        self.cause: Cause = cause
        self.reply = reply
