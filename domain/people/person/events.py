"""The events of a person. Texts about them are sealed with their own key: `person` repeats the id of the stream.

No secret is in an event. Credentials have tables of their own, whose rows name the version of the event before them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from domain.kernel import Event, Personal

PersonRole = Literal["customer", "author", "moderator", "report", "audit", "operator", "administrator"]
"""The roles that a person can have. `report` is the reporter's, `audit` the auditor's."""
MailPurpose = Literal["verify", "reset"]
"""What the token in a mail is for: to verify the address, or to set a new password."""


class PersonRegistered(Event, frozen=True):
    """A person was registered. It is the first event of the stream. The e-mail address is not verified yet."""

    person: str
    username: Personal
    email: Personal
    name: Personal
    username_hash: str  # keyed hash of the username: the claim of the name
    email_hash: str


class PersonEmailVerified(Event, frozen=True):
    """The person has shown that mail to this address reaches them."""

    email_hash: str


class PersonPasswordSet(Event, frozen=True):
    """The password was set. The row with its hash names the version of this event."""

    how: Literal["changed", "reset"]  # by the person who knew the old one, or by a token that was mailed


class PersonSuspended(Event, frozen=True):
    """The person cannot sign in until they are reactivated."""

    person: str
    reason: Personal


class PersonReactivated(Event, frozen=True):
    """The suspended person can sign in again."""

    person: str
    reason: Personal


class PersonDeleted(Event, frozen=True):
    """The person cannot sign in any more. Names stay claimed, and the person can be restored."""

    person: str
    reason: Personal


class PersonRestored(Event, frozen=True):
    """The deleted person has the status again that they had before."""

    person: str
    reason: Personal


class PersonProfileChanged(Event, frozen=True):
    """The profile was replaced. A part that is None is not stated."""

    person: str
    name: Personal
    biography: Personal | None
    location: Personal | None
    website: Personal | None
    birth_date: Personal | None  # ISO 8601


class PersonSettingsChanged(Event, frozen=True):
    """How dates and texts are shown to the person."""

    time_zone: str  # of the IANA database
    language: str  # BCP 47


class PersonConsentGiven(Event, frozen=True):
    """The person agreed to a version of a text."""

    purpose: str
    text_version: str


class PersonConsentWithdrawn(Event, frozen=True):
    """The person no longer agrees."""

    purpose: str


class PersonRoleGranted(Event, frozen=True):
    """The person has a role, for a time or without an end. It replaces a grant of the same role."""

    role: PersonRole
    context: str | None  # a code: what it is for
    until: datetime | None  # aware, UTC; None: without an end


class PersonRoleRevoked(Event, frozen=True):
    """The person no longer has a role."""

    role: PersonRole


class PersonSessionsEnded(Event, frozen=True):
    """All sessions of the person that were opened before this event have ended, but for one."""

    but: str | None  # the id of the session that goes on


class PersonSecondFactorSet(Event, frozen=True):
    """The person confirmed a second factor. From now on a sign-in needs it."""


class PersonSecondFactorRemoved(Event, frozen=True):
    """The person has no second factor any more."""


class PersonRecoveryCodesMade(Event, frozen=True):
    """The person got new recovery codes. Those before are worth nothing."""


class PersonApiKeyMade(Event, frozen=True):
    """The person made an API key. Its name and its hash are in the row that names the version of this event."""

    key: str
    areas: tuple[str, ...]  # what it may be used for
    access: Literal["read", "command"]
    accounts: tuple[str, ...] | None  # the only accounts that it may touch; None: any
    until: datetime | None  # aware, UTC; None: without an end


class PersonApiKeyReplaced(Event, frozen=True):
    """Another key with the same scope took the place of a key. The old one works until its overlap has ended."""

    key: str
    by: str
    overlap_until: datetime
    until: datetime | None  # of the new key


class PersonApiKeyEnded(Event, frozen=True):
    """An API key was ended for good."""

    key: str


class PersonLockedOut(Event, frozen=True):
    """So many sign-ins in a row failed that the next ones have to wait long. The failures are counted elsewhere."""

    failures: int


class PersonMailAsked(Event, frozen=True):
    """Somebody asked for a mail with a token to the person. Registering asks for the first one by itself."""

    purpose: MailPurpose
    at: datetime  # aware, UTC


PersonEvent: TypeAlias = (
    PersonRegistered
    | PersonEmailVerified
    | PersonPasswordSet
    | PersonSuspended
    | PersonReactivated
    | PersonDeleted
    | PersonRestored
    | PersonProfileChanged
    | PersonSettingsChanged
    | PersonConsentGiven
    | PersonConsentWithdrawn
    | PersonRoleGranted
    | PersonRoleRevoked
    | PersonSessionsEnded
    | PersonSecondFactorSet
    | PersonSecondFactorRemoved
    | PersonRecoveryCodesMade
    | PersonApiKeyMade
    | PersonApiKeyReplaced
    | PersonApiKeyEnded
    | PersonLockedOut
    | PersonMailAsked
)
