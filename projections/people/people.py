"""Persons as they are now: names, status, profile, settings, roles and consents. Deleted ones stay, with the reason.

Tables, fold, reporting view.
"""

from __future__ import annotations

from typing import Any

import orjson

from domain.people.person.events import (
    PersonConsentGiven,
    PersonConsentWithdrawn,
    PersonDeleted,
    PersonEmailVerified,
    PersonMailAsked,
    PersonPasswordSet,
    PersonProfileChanged,
    PersonReactivated,
    PersonRegistered,
    PersonRestored,
    PersonRoleGranted,
    PersonRoleRevoked,
    PersonSettingsChanged,
    PersonSuspended,
)
from projections.engine.columns import code, flag, free_text, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
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
    moment("password_set_at", "When the password was changed or reset last, UTC.", optional=True),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of the registration."),
    moment("registered_at", "When the person was registered, UTC."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("people_in_order", "position"),
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
    consent = {"purpose": event.purpose, "text_version": event.text_version, "given_at": row["last_at"]}
    return {**row, "consents": _json([*_without(row["consents"], "purpose", event.purpose), consent])}


def consent_withdrawn(row: Row, event: PersonConsentWithdrawn) -> Row:
    """The person no longer agrees."""
    return {**row, "consents": _json(_without(row["consents"], "purpose", event.purpose))}


def role_granted(row: Row, event: PersonRoleGranted) -> Row:
    """The person has a role, also instead of one with another end."""
    until = None if event.until is None else event.until.isoformat()
    role = {"role": event.role, "context": event.context, "until": until}
    return {**row, "roles": _json([*_without(row["roles"], "role", event.role), role])}


def role_revoked(row: Row, event: PersonRoleRevoked) -> Row:
    """The person has one role less."""
    return {**row, "roles": _json(_without(row["roles"], "role", event.role))}


def mail_asked(row: Row, event: PersonMailAsked) -> Row:
    """What became of the mail is in the read model of mails."""
    return row


def _text(value: Any) -> str | None:
    return None if value is None else erasable(value)[0]


def _without(stored: Any, member: str, value: str) -> list[dict[str, Any]]:
    """The items of an array but the one with this value. It is as it was read from the table, or as it was written."""
    items: list[dict[str, Any]] = orjson.loads(stored) if isinstance(stored, str) else stored
    return [item for item in items if item[member] != value]


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
        PersonMailAsked: mail_asked,
    },
    reads=("roles", "consents"),
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
    ),
)

PEOPLE = declared("people", FOLD, area="people", reports=(VIEW,))
