"""Repeatable random numbers: one generator for each purpose, so that no draw affects another."""

from __future__ import annotations

import random


def seeded(*purpose: object) -> random.Random:
    """A generator that depends on its purpose alone, not on other draws or threads."""
    return random.Random("/".join(map(str, purpose)))
