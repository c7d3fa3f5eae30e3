"""Codes by time (RFC 6238): six digits, a step of 30 seconds, the step before and the step after count too."""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import Final

import pyotp

from eventstore.credentials.tokens import Secret

STEP_SECONDS: Final = 30
WINDOW: Final = 1
"""Steps before and after the present one whose codes are taken, for clocks that differ."""
SECRET_CHARACTERS: Final = 32
"""Base 32, so 160 bits, as RFC 4226 recommends."""
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def looks_like_code(text: str) -> bool:
    """Whether a text is six digits, and no recovery code."""
    return _CODE.fullmatch(text) is not None


def new_secret() -> Secret:
    """A new secret in base 32."""
    return Secret(pyotp.random_base32(SECRET_CHARACTERS))


def enrolment_uri(secret: Secret, name: str, issuer: str) -> Secret:
    """The URI that an app scans as a QR code. It contains the secret."""
    return Secret(pyotp.TOTP(secret.reveal()).provisioning_uri(name=name, issuer_name=issuer))


def step_at(now: datetime) -> int:
    """The number of the step that this time is in."""
    return int(now.timestamp()) // STEP_SECONDS


def code_of(secret: Secret, step: int) -> str:
    """The code of a step."""
    return pyotp.TOTP(secret.reveal()).generate_otp(step)


def matching_step(secret: Secret, code: str, now: datetime, last_step: int) -> int | None:
    """The step whose code it is; None if the code is wrong, or of a step that is not after `last_step`.

    So each code works once, also after a clock stepped back. If one code belongs to two steps of the window, the later
    one counts: then neither works again.
    """
    if _CODE.fullmatch(code) is None:
        return None
    present = step_at(now)
    steps = range(max(0, present - WINDOW), present + WINDOW + 1)
    matching = [step for step in steps if hmac.compare_digest(code_of(secret, step), code)]
    usable = [step for step in matching if step > last_step]
    return max(usable, default=None)
