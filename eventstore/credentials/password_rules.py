"""The rules for a new password. They are the same when a person registers, changes a password or resets it.

The list of common passwords is that of `zxcvbn` (30,000 entries, most frequent first; MIT licence), by Dan Wheeler and
those who keep the Python version. Hardly any entry has a capital, a digit and a special character. So a password also
counts as common if it is an entry with some characters put before or after it, or with digits in the place of letters.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from zxcvbn.frequency_lists import FREQUENCY_LISTS

LEAST, MOST = 8, 100
"""Bounds of the length, in characters."""
SPECIAL: Final = string.punctuation
MOST_ADDED: Final = 4
"""A common password or a name with at most so many characters around it is still one."""

_AROUND = string.digits + SPECIAL
_LOOK_ALIKES: Final = (str.maketrans("@4310$5!7", "aaelossit"), str.maketrans("@4310$5!7", "aaeiossit"))


class BrokenRule(NamedTuple):
    """A rule that a password breaks: its code, and a sentence for the person. Neither has the password."""

    rule: str
    sentence: str


@cache
def common_passwords() -> frozenset[str]:
    """The list, in small letters."""
    return frozenset(FREQUENCY_LISTS["passwords"])


def normalised(password: str) -> str:
    """The form that is measured and hashed (NFKC): two keyboards may write the same letter in two ways."""
    return unicodedata.normalize("NFKC", password)


def broken_rules(password: str, *, username: str, email: str) -> list[BrokenRule]:
    """All rules that a new password breaks; empty if it may be used."""
    return list(_broken(normalised(password), username, email))


def _broken(password: str, username: str, email: str) -> Iterator[BrokenRule]:
    length = len(password)
    if not LEAST <= length <= MOST:
        yield BrokenRule("length", f"it has {length} characters, and needs {LEAST} to {MOST}")
    if any(unicodedata.category(one) == "Cs" for one in password):
        yield BrokenRule("text", "it has half of a character, which cannot be stored")
    if not any(one.isupper() for one in password):
        yield BrokenRule("upper", "it needs a capital letter")
    if not any(one.islower() for one in password):
        yield BrokenRule("lower", "it needs a small letter")
    if not any(one.isdecimal() for one in password):
        yield BrokenRule("digit", "it needs a digit")
    if not any(one in SPECIAL for one in password):
        yield BrokenRule("special", f"it needs a special character, one of {SPECIAL}")
    if length > MOST:
        return  # what follows looks at the whole of it
    cores = set(_cores(password))
    if username and username.casefold() in cores:
        yield BrokenRule("username", "it is the user name")
    if ({email.casefold(), email.casefold().partition("@")[0]} - {""}) & cores:
        yield BrokenRule("email", "it is the e-mail address")
    if cores & common_passwords():
        yield BrokenRule("common", "it is on the list of common passwords, or nearly so")


def _cores(password: str) -> Iterator[str]:
    """What a password may be made of: itself, without what was put around it, with letters for their look-alikes."""
    whole = password.casefold()
    for core in (whole, whole.strip(SPECIAL), whole.rstrip(_AROUND), whole.strip(_AROUND)):
        if core and len(whole) - len(core) <= MOST_ADDED:
            yield core
            for look_alikes in _LOOK_ALIKES:
                yield core.translate(look_alikes)
