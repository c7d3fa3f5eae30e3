"""Usernames, e-mail addresses and names of people: what they may look like, and what makes two of them the same.

All of them are personal, so no sentence quotes them. Uniqueness is decided on keyed hashes, which come with the command
(`domain.claims`). The hash is made of the form that `username_form` and `email_form` return.
"""

from __future__ import annotations

import re
import unicodedata

from domain.claims import claim_stream
from domain.kernel import Refused

LEAST_USERNAME, MOST_USERNAME = 3, 50
MOST_EMAIL = 254
"""Characters of an address that mail can be sent to (RFC 5321, section 4.5.3.1.3, without the angle brackets)."""
MOST_NAME = 100
MOST_MARKS = 4
"""Most combining marks in a row. Vietnamese and Hebrew need three; more only cover what stands beside them."""

_USERNAME = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_EMAIL = re.compile(
    r"[^\s@\"(),:;<>\[\]\\]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
_NEVER_IN_A_NAME = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of controls, of invisible characters that join, hide or turn text, and of what is no character."""
_JOINERS = frozenset("\u200c\u200d")
"""Persian and Indian names need them: the one category of invisible characters with a use within a word."""

RULES: dict[str, str] = {
    "username_malformed": (
        "A username has {least} to {most} characters: a-z, 0-9, hyphens and underscores, beginning with a letter or a "
        "digit."
    ),
    "email_malformed": (
        "This is no e-mail address that mail can be sent to. An address has {most} characters or fewer, no quoted part "
        "and no comment. Its domain has a-z, 0-9, hyphens and dots; one with other letters is written as xn--…."
    ),
    "name_malformed": (
        "A name has 1 to {most} visible characters, no control or invisible characters, and at most {marks} combining "
        "marks in a row."
    ),
}


def username_form(username: str) -> str:
    """Return the form of a username that is unique: two spellings with the same form are the same name."""
    return unicodedata.normalize("NFKC", username).casefold()


def email_form(email: str) -> str:
    """Return the form of an address that is unique. The part before the @ counts without its case, as everywhere."""
    return unicodedata.normalize("NFC", email).casefold()


def username_claim(keyed_hash: str) -> str:
    """Return the name of the stream that makes a username unique. It takes the keyed hash of the form."""
    return claim_stream("username", keyed_hash)


def email_claim(keyed_hash: str) -> str:
    """Return the name of the stream that makes an e-mail address unique."""
    return claim_stream("email", keyed_hash)


def refuse_username(username: str) -> Refused | None:
    """Return the refusal of a username, or None."""
    if LEAST_USERNAME <= len(username) <= MOST_USERNAME and _USERNAME.fullmatch(username):
        return None
    return Refused("username_malformed", {"least": LEAST_USERNAME, "most": MOST_USERNAME})


def refuse_email(email: str) -> Refused | None:
    """Return the refusal of an e-mail address, or None. Whether mail arrives there is what verification shows."""
    form = email_form(email)
    local, _, _ = form.partition("@")
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if len(email) <= MOST_EMAIL and _EMAIL.fullmatch(form) and not dots and not _has_invisible(email, joiners=False):
        return None
    return Refused("email_malformed", {"most": MOST_EMAIL})


def refuse_name(name: str) -> Refused | None:
    """Return the refusal of the name of a person, or None. Any script may be used, and scripts may be mixed."""
    if 1 <= len(name) <= MOST_NAME and name == name.strip() and not _has_invisible(name) and _marks(name) <= MOST_MARKS:
        return None
    return Refused("name_malformed", {"most": MOST_NAME, "marks": MOST_MARKS})


def _has_invisible(text: str, *, joiners: bool = True) -> bool:
    """Whether a text has controls or invisible characters. `joiners`: those between two others are allowed."""
    return any(
        unicodedata.category(character) in _NEVER_IN_A_NAME
        and not (joiners and character in _JOINERS and 0 < at < len(text) - 1 and text[at - 1] not in _JOINERS)
        for at, character in enumerate(text)
    )


def _marks(text: str) -> int:
    """The largest number of combining marks in a row, once everything is taken apart."""
    most = row = 0
    for character in unicodedata.normalize("NFD", text):
        row = row + 1 if unicodedata.combining(character) else 0
        most = max(most, row)
    return most
