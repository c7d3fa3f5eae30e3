"""Chance that can be had again: a generator for each purpose, so that nobody's draw moves another's."""

from __future__ import annotations

import random


def seeded(*purpose: object) -> random.Random:
    """A generator that depends on its purpose alone, not on what others drew before, or in which thread."""
    return random.Random("/".join(map(str, purpose)))
