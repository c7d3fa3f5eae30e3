"""Which reads of personal data are recorded beside the log, and what the row says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from api.gateway.routes import Found
from domain.codes import CODE
from domain.kernel import Principal
from domain.permissions import STAFF, may
from eventstore.reads.read import Read

ITEMS: Final = "items"
"""The member of a request's state that has the number of items of the answer."""
KEY, ACTOR = "key", "actor"
"""The parameters that name a command: its key, and whose command it is."""
NAMING: Final = frozenset(
    (
        "about account actor author batch correlation customer employee hold initiator long_batch number order "
        "owner parent payment payroll person post principal quote reconciliation settlement slug stream transaction "
        "transfer_order"
    ).split()
)
"""Parameters of paths and queries whose value names a person, or a thing that may be a person's."""

_code = re.compile(CODE).fullmatch


class TakesReads(Protocol):
    """Something that records reads."""

    def note(self, read: Read) -> None:
        """Record a read, without waiting."""


def read_of(principal: Principal, found: Found, query: bytes, state: Mapping[str, Any], at: datetime) -> Read | None:
    """The read to record, or None: a person who reads about themselves, or a program about its own commands.

    Somebody who is not of the staff gets only what they may see of a list. So a list that names nobody is theirs, and
    what they ask for by its id is recorded, because it may be another person's.
    """
    given = dict(parse_qsl(query.decode("latin-1")))
    if KEY in found.names and given.get(ACTOR, principal.id) == principal.id:
        return None
    # The text of a filter is the client's. One that is no code finds nothing, and may be a name, so it is not kept.
    about = [value for name, value in found.names.items() if name in NAMING]
    about += [value for name, value in sorted(given.items()) if name in NAMING and _code(value)]
    if about and all(id == principal.person for id in about):
        return None
    if not about and principal.person is not None and not may(principal, STAFF, at):
        return None
    return Read(
        at=at,
        principal=principal.id,
        person=principal.person,
        route=found.path.template,
        about=tuple(dict.fromkeys(about)),
        items=state.get(ITEMS),
    )
