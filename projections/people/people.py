"""Persons as they are now: names, status, profile, settings, roles and consents. Deleted ones stay, with the reason.

Tables, fold, reporting view.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from domain.people.person.events import (
    PersonApiKeyEnded,
    PersonApiKeyMade,
    PersonApiKeyReplaced,
    PersonConsentGiven,
    PersonConsentWithdrawn,
    PersonDeleted,
    PersonEmailVerified,
    PersonLockedOut,
    PersonMailAsked,
    PersonPasswordSet,
    PersonProfileChanged,
    PersonReactivated,
    PersonRecoveryCodesMade,
    PersonRegistered,
    PersonRestored,
    PersonRoleGranted,
    PersonRoleRevoked,
    PersonSecondFactorRemoved,
    PersonSecondFactorSet,
    PersonSessionsEnded,
    PersonSettingsChanged,
    PersonSuspended,
)
from domain.people.person.state import Status
from projections.engine.columns import code, flag, free_text, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import Shown, View
from projections.engine.rows import erasable
from projections.engine.writing import Row

# Tables.

_ERASED = "NULL if it is not stated, and once the person was erased."

TABLE = read_table(
    "people",
    "One row a person, as they are now; deleted ones too.",
    code("person", "Public id; also the name of the stream in the log.", key=True),
    free_text("username", "The name to sign in with. NULL once the person was erased.", optional=True),
    free_text("email", "The e-mail address. NULL once the person was erased.", optional=True),
    free_text("name", "How the person is called. NULL once the person was erased.", optional=True),
    flag("names_erased", "Whether names and profile are gone with the person's key."),
    flag("email_verified", "Whether mail to the address reaches the person."),
    flag("suspended", "Whether the person is kept from signing in; also under a deletion."),
    flag("deleted", "Whether the person is deleted; they can be restored."),
    free_text(
        "reason", "Why the person was suspended, reactivated, deleted or restored last. " + _ERASED, optional=True
    ),
    flag("reason_erased", "Whether the reason is gone with the person's key."),
    free_text("biography", _ERASED, optional=True),
    free_text("location", _ERASED, optional=True),
    free_text("website", _ERASED, optional=True),
    free_text("birth_date", "ISO 8601. " + _ERASED, optional=True),
    code("time_zone", "Time zone (IANA) in which times are shown to the person."),
    code("language", "Language tag (BCP 47)."),
    json_value("roles", "The granted roles, as a JSON array of role, context and until, in the order of the grants."),
    json_value("consents", "What the person agreed to, as a JSON array of purpose, text_version and given_at."),
    flag("second_factor", "Whether a sign-in needs a second factor."),
    json_value(
        "api_keys",
        "The API keys that were not ended, as a JSON array of key, areas, access, accounts, made_at and until.",
    ),
    moment("locked_out_at", "When so many sign-ins had failed that they have to wait long, UTC.", optional=True),
    moment("password_set_at", "When the password was changed or reset last, UTC.", optional=True),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of the registration."),
    moment("registered_at", "When the person was registered, UTC."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("people_in_order", "position"),
    index("people_by_username", "username"),
    index("people_by_email", "email"),
    personal=PersonalText(
        "person",
        {
            "username": "names_erased",
            "email": "names_erased",
            "name": "names_erased",
            "biography": "names_erased",
            "location": "names_erased",
            "website": "names_erased",
            "birth_date": "names_erased",
            "reason": "reason_erased",
        },
    ),
)

# Fold.


def registered(row: Row, event: PersonRegistered) -> Row:
    """A new person, whose address is not verified."""
    name, erased = erasable(event.name)
    return {
        **row,
        "username": erasable(event.username)[0],
        "email": erasable(event.email)[0],
        "name": name,
        "names_erased": erased,
        "email_verified": False,
        "suspended": False,
        "deleted": False,
        "reason_erased": False,
        "time_zone": "UTC",
        "language": "en",
        "roles": "[]",
        "consents": "[]",
        "second_factor": False,
        "api_keys": "[]",
        "position": row["last_position"],
        "registered_at": row["last_at"],
    }


def email_verified(row: Row, event: PersonEmailVerified) -> Row:
    """Mail reaches the person."""
    return {**row, "email_verified": True}


def password_set(row: Row, event: PersonPasswordSet) -> Row:
    """There is a new password."""
    return {**row, "password_set_at": row["last_at"]}


def _for_a_reason(
    row: Row, event: PersonSuspended | PersonReactivated | PersonDeleted | PersonRestored, **change: bool
) -> Row:
    reason, erased = erasable(event.reason)
    return {**row, "reason": reason, "reason_erased": erased, **change}


def suspended(row: Row, event: PersonSuspended) -> Row:
    """The person cannot sign in."""
    return _for_a_reason(row, event, suspended=True)


def reactivated(row: Row, event: PersonReactivated) -> Row:
    """The person can sign in again."""
    return _for_a_reason(row, event, suspended=False)


def deleted(row: Row, event: PersonDeleted) -> Row:
    """The status before stays, for a restore."""
    return _for_a_reason(row, event, deleted=True)


def restored(row: Row, event: PersonRestored) -> Row:
    """The person is back as they were."""
    return _for_a_reason(row, event, deleted=False)


def profile_changed(row: Row, event: PersonProfileChanged) -> Row:
    """Another profile."""
    name, erased = erasable(event.name)
    texts = {field: _text(getattr(event, field)) for field in ("biography", "location", "website", "birth_date")}
    return {**row, "name": name, "names_erased": erased, **texts}


def settings_changed(row: Row, event: PersonSettingsChanged) -> Row:
    """Other settings."""
    return {**row, "time_zone": event.time_zone, "language": event.language}


def consent_given(row: Row, event: PersonConsentGiven) -> Row:
    """The person agrees, also instead of to an older text."""
    consent = {"purpose": event.purpose, "text_version": event.text_version, "given_at": _recorded_at(row)}
    return {**row, "consents": _json([*_without(row["consents"], "purpose", event.purpose), consent])}


def consent_withdrawn(row: Row, event: PersonConsentWithdrawn) -> Row:
    """The person no longer agrees."""
    return {**row, "consents": _json(_without(row["consents"], "purpose", event.purpose))}


def role_granted(row: Row, event: PersonRoleGranted) -> Row:
    """The person has a role, also instead of one with another end."""
    role = {"role": event.role, "context": event.context, "until": _moment(event.until)}
    return {**row, "roles": _json([*_without(row["roles"], "role", event.role), role])}


def role_revoked(row: Row, event: PersonRoleRevoked) -> Row:
    """The person has one role less."""
    return {**row, "roles": _json(_without(row["roles"], "role", event.role))}


def second_factor_set(row: Row, event: PersonSecondFactorSet) -> Row:
    """A sign-in needs a second factor."""
    return {**row, "second_factor": True}


def second_factor_removed(row: Row, event: PersonSecondFactorRemoved) -> Row:
    """A sign-in needs no second factor."""
    return {**row, "second_factor": False}


def api_key_made(row: Row, event: PersonApiKeyMade) -> Row:
    """The person has one API key more."""
    key = {
        "key": event.key,
        "areas": list(event.areas),
        "access": event.access,
        "accounts": None if event.accounts is None else list(event.accounts),
        "made_at": _recorded_at(row),
        "until": _moment(event.until),
    }
    return {**row, "api_keys": _json([*_items(row["api_keys"]), key])}


def api_key_replaced(row: Row, event: PersonApiKeyReplaced) -> Row:
    """Another key has the scope of the old one, which has an end now."""
    keys = _items(row["api_keys"])
    old = next(key for key in keys if key["key"] == event.key)
    new = {**old, "key": event.by, "made_at": _recorded_at(row), "until": _moment(event.until)}
    old = {**old, "until": _moment(event.overlap_until)}
    return {**row, "api_keys": _json([*_without(row["api_keys"], "key", event.key), old, new])}


def api_key_ended(row: Row, event: PersonApiKeyEnded) -> Row:
    """The person has one API key less."""
    return {**row, "api_keys": _json(_without(row["api_keys"], "key", event.key))}


def locked_out(row: Row, event: PersonLockedOut) -> Row:
    """Many sign-ins failed."""
    return {**row, "locked_out_at": row["last_at"]}


def signing_in(row: Row, event: PersonSessionsEnded | PersonRecoveryCodesMade) -> Row:
    """What the table does not show. Only the version changes."""
    return row


def _recorded_at(row: Row) -> str:
    """When the event was recorded, as JSON has it. The row has the text of PostgreSQL."""
    return datetime.fromisoformat(row["last_at"]).isoformat()


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def mail_asked(row: Row, event: PersonMailAsked) -> Row:
    """What became of the mail is in the read model of mails."""
    return row


def _text(value: Any) -> str | None:
    return None if value is None else erasable(value)[0]


def _without(stored: Any, member: str, value: str) -> list[dict[str, Any]]:
    """The items of an array but the one with this value."""
    return [item for item in _items(stored) if item[member] != value]


def _items(stored: Any) -> list[dict[str, Any]]:
    """The items of an array, as it was read from the table, or as it was written."""
    items: list[dict[str, Any]] = orjson.loads(stored) if isinstance(stored, str) else stored
    return items


def _json(items: list[dict[str, Any]]) -> str:
    return orjson.dumps(items, option=orjson.OPT_SORT_KEYS).decode()


FOLD = RowFold(
    TABLE,
    starts={PersonRegistered: registered},
    changes={
        PersonEmailVerified: email_verified,
        PersonPasswordSet: password_set,
        PersonSuspended: suspended,
        PersonReactivated: reactivated,
        PersonDeleted: deleted,
        PersonRestored: restored,
        PersonProfileChanged: profile_changed,
        PersonSettingsChanged: settings_changed,
        PersonConsentGiven: consent_given,
        PersonConsentWithdrawn: consent_withdrawn,
        PersonRoleGranted: role_granted,
        PersonRoleRevoked: role_revoked,
        PersonSessionsEnded: signing_in,
        PersonSecondFactorSet: second_factor_set,
        PersonSecondFactorRemoved: second_factor_removed,
        PersonRecoveryCodesMade: signing_in,
        PersonApiKeyMade: api_key_made,
        PersonApiKeyReplaced: api_key_replaced,
        PersonApiKeyEnded: api_key_ended,
        PersonLockedOut: locked_out,
        PersonMailAsked: mail_asked,
    },
    reads=("roles", "consents", "api_keys"),
)

# Reporting view.

VIEW = View(
    TABLE,
    "One row a person, as they are now; deleted ones too. Names, profile and reasons are not shown.",
    (
        "person",
        Shown(
            "status",
            "pending, active, suspended or deleted.",
            "CASE WHEN t.deleted THEN 'deleted' WHEN t.suspended THEN 'suspended'"
            " WHEN t.email_verified THEN 'active' ELSE 'pending' END",
        ),
        "names_erased",
        "time_zone",
        "language",
        "roles",
        "consents",
        "password_set_at",
        "version",
        "position",
        "registered_at",
        "last_position",
        "last_at",
        "second_factor",
        "api_keys",
        "locked_out_at",
    ),
)

PEOPLE = declared("people", FOLD, area="people", reports=(VIEW,))

# Queries.


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as they are now."""

    person: str
    username: str | None
    email: str | None
    name: str | None
    names_erased: bool
    email_verified: bool
    suspended: bool
    deleted: bool
    reason: str | None
    reason_erased: bool
    biography: str | None
    location: str | None
    website: str | None
    birth_date: str | None
    time_zone: str
    language: str
    roles: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    second_factor: bool
    locked_out_at: datetime | None
    password_set_at: datetime | None
    version: int
    position: int
    registered_at: datetime
    last_at: datetime

    @property
    def status(self) -> Status:
        """The status that the domain gives the person."""
        if self.deleted:
            return "deleted"
        if self.suspended:
            return "suspended"
        return "active" if self.email_verified else "pending"


FLAGS: dict[Status, dict[str, bool]] = {
    "deleted": {"deleted": True},
    "suspended": {"deleted": False, "suspended": True},
    "active": {"deleted": False, "suspended": False, "email_verified": True},
    "pending": {"deleted": False, "suspended": False, "email_verified": False},
}
"""The flags of each status."""

PEOPLE_LIST = Listing(
    readable(TABLE), PersonRow, filters=("person", "username", "email", "deleted", "suspended", "email_verified")
)


def person(connection: Connection[Any], person: str) -> PersonRow | None:
    """One person by their id."""
    return PEOPLE_LIST.one(connection, person=person)


def people(
    connection: Connection[Any],
    *,
    status: Status | None = None,
    username: str | None = None,
    email: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[PersonRow, int]:
    """Persons in the order in which they were registered; `after` and `cursor` are positions."""
    flags: dict[str, bool] = {} if status is None else FLAGS[status]
    filters = {"username": username, "email": email, "after": after, **flags}
    return PEOPLE_LIST.read(connection, filters, limit, cursor=cursor)
