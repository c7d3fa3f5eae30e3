"""The HTTP status of each outcome. It is recorded with the answer, so that every retry gets the same status."""

from __future__ import annotations

from functools import cache

from eventstore.log.answers import Codes

REFUSED = 422
VERSIONS_STALE, VERSION_STALE = 409, 412
"""The statuses when an expected version in the body or in the header If-Match is stale (RFC 9110, 13.1.1)."""


@cache
def answer_codes(accepted: int, *, if_match: bool) -> Codes:
    """The statuses of a command's answers. `accepted` is the status of its route, 200 or 201."""
    stale = VERSION_STALE if if_match else VERSIONS_STALE
    return Codes(accepted=accepted, refused=REFUSED, expectation_failed=stale)
