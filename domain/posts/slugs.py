"""Slugs: the part of a post's address that people read."""

from __future__ import annotations

import re

from domain.claims import claim_stream

MOST_CHARACTERS = 120

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def is_slug(text: str) -> bool:
    """Whether it is lower-case words of letters and digits joined by single hyphens, 1 to 120 characters in all."""
    return len(text) <= MOST_CHARACTERS and _SLUG.fullmatch(text) is not None


def slug_claim(slug: str) -> str:
    """The stream that makes the slug unique."""
    return claim_stream("slug", slug)
