"""The register of personal fields: what for each is kept, and how long. `make reference` writes it as a page.

The fields come from the event catalogue, the read tables and the tables of credentials. Purpose and retention are
declared here, and a test fails where one is missing or has no field any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from domain.registry import CATALOGUE
from eventstore.credentials.sweeper import RETENTION
from projections.engine.erasure import personal_text
from projections.registry import PROJECTIONS

ERASED: Final = "until the person is erased: then nobody can open it"
"""How long every sealed field is kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Why a personal field is kept, and how long."""

    purpose: str
    retention: str = ERASED


_WHY_STATUS: Final = Kept("to explain to the person, and to an auditor, why their status was changed")
_WHY_ACCOUNT: Final = Kept("to explain to the owner, and to an auditor, why the account was changed")
_PROFILE: Final = Kept("the person wants it to be shown; they can replace it")
_WRITING: Final = Kept("it is what the author publishes, and earlier revisions can be read")
_RESOLUTION: Final = Kept("to explain to an auditor why an operator intervened")
_OUTSIDE: Final = Kept("to tell what a line of a statement is about, where it has to be matched by hand")
_HOLD: Final = Kept("to show on what ground an erasure was forbidden or allowed again")

SEALED: Final[Mapping[tuple[str, str], Kept]] = {
    ("account.opened.v1", "name"): Kept("to name the account to its owner and to staff"),
    ("account.frozen.v1", "reason"): _WHY_ACCOUNT,
    ("account.unfrozen.v1", "reason"): _WHY_ACCOUNT,
    ("account.limits_changed.v1", "reason"): Kept("to show the owner why the limits are what they are"),
    ("account.closed.v1", "reason"): _WHY_ACCOUNT,
    ("transaction.pended.v1", "description"): Kept("to tell the parties what a payment is for"),
    ("transaction.rejected.v1", "reason"): Kept("to tell the parties why a payment was not made"),
    ("transaction.cancelled.v1", "reason"): Kept("to tell the parties why a payment was not made"),
    ("account.reopened.v1", "reason"): _WHY_ACCOUNT,
    ("account.closing_asked.v1", "reason"): _WHY_ACCOUNT,
    ("account.closing_cancelled.v1", "reason"): _WHY_ACCOUNT,
    ("account.details_changed.v1", "name"): Kept("to name the account to its owner and to staff"),
    ("transaction.posted.v1", "description"): Kept("to tell the parties what a payment was for"),
    ("recurring_payment.created.v1", "description"): Kept("to tell the parties what each payment is for"),
    ("transfer_order.submitted.v1", "description"): Kept("to tell the parties what the payment is for"),
    ("period.reopening_asked.v1", "reason"): Kept("to explain to an auditor why a closed period was reopened"),
    ("order.placed.v2", "names"): Kept("to show the customer what was ordered"),
    ("order.cancelled.v1", "reason"): Kept("to show the customer why the order was cancelled"),
    ("post.drafted.v1", "title"): _WRITING,
    ("post.drafted.v1", "body"): _WRITING,
    ("post.revised.v1", "title"): _WRITING,
    ("post.revised.v1", "body"): _WRITING,
    ("post.revised.v1", "summary"): _WRITING,
    ("post.deleted.v1", "reason"): Kept("to tell the author why the post was deleted"),
    ("process.retried.v1", "reason"): _RESOLUTION,
    ("process.resolved.v1", "reason"): _RESOLUTION,
    ("payroll.stopped.v1", "reason"): _RESOLUTION,
    ("long_batch.stopped.v1", "reason"): Kept("to show later why the long batch was stopped"),
    ("payroll.item_given_up.v1", "reason"): _RESOLUTION,
    ("reconciliation.opened.v1", "outside_account"): Kept("to show that the statement is of the right account"),
    ("reconciliation.part_listed.v1", "counterparties"): _OUTSIDE,
    ("reconciliation.part_listed.v1", "texts"): _OUTSIDE,
    ("reconciliation.closed.v1", "reason"): _RESOLUTION,
    ("reconciliation.reopened.v1", "reason"): _RESOLUTION,
    ("reconciliation.abandoned.v1", "reason"): _RESOLUTION,
    ("reconciliation.match_made.v1", "reason"): _RESOLUTION,
    ("reconciliation.match_undone.v1", "reason"): _RESOLUTION,
    ("person.registered.v1", "username"): Kept("to sign in, and to name the person to others"),
    ("person.registered.v1", "email"): Kept("to sign in, and to send what the person asks for, such as a new password"),
    ("person.registered.v1", "name"): Kept("to address the person"),
    ("person.suspended.v1", "reason"): _WHY_STATUS,
    ("person.reactivated.v1", "reason"): _WHY_STATUS,
    ("person.deleted.v1", "reason"): _WHY_STATUS,
    ("person.restored.v1", "reason"): _WHY_STATUS,
    ("person.profile_changed.v1", "name"): Kept("to address the person"),
    ("person.profile_changed.v1", "biography"): _PROFILE,
    ("person.profile_changed.v1", "location"): _PROFILE,
    ("person.profile_changed.v1", "website"): _PROFILE,
    ("person.profile_changed.v1", "birth_date"): _PROFILE,
    ("mail.retried.v1", "reason"): _RESOLUTION,
    ("person.legal_hold_placed.v1", "reason"): _HOLD,
    ("person.legal_hold_lifted.v1", "reason"): _HOLD,
}
"""By event and field: what is sealed with the key of a person."""


def _days(kind: str) -> str:
    days = RETENTION[kind].days
    return f"{days} day{'' if days == 1 else 's'} after its end, or until the person is erased"


BESIDE: Final[Mapping[str, Kept]] = {
    "log.commands.origin": Kept(
        "to investigate misuse: address and user agent of who sent a command", "DAYBOOK_ORIGIN_DAYS (forget-origins)"
    ),
    "access.reads": Kept("who read what about whom, and when", "DAYBOOK_READS_DAYS (forget-reads)"),
    "batches.parts": Kept(
        "the commands of long batches that were not carried out yet: sealed",
        "until they are carried out, or the batch is stopped; seven days at most while `daybook batches` runs",
    ),
    "credentials.passwords": Kept("to sign in: a hash", "until it is replaced, or the person is deleted or erased"),
    "credentials.sessions": Kept("to stay signed in, and to end a session", _days("sessions")),
    "credentials.refresh_tokens": Kept("to renew a session: hashes", _days("refresh tokens")),
    "credentials.mail_tokens": Kept("to verify an address or reset a password: hashes", _days("mail tokens")),
    "credentials.totp": Kept(
        "the second factor: a sealed secret", "until it is switched off, or the person is deleted or erased"
    ),
    "credentials.recovery_codes": Kept(
        "to sign in without the second factor: hashes", "until they are replaced, or the person is deleted or erased"
    ),
    "credentials.api_keys": Kept("programs of the person: a name, a prefix and a hash", _days("API keys")),
    "credentials.attempts": Kept("to slow down who guesses: counters by person and address", _days("attempts")),
}
"""What is kept about a person outside of the log and of read tables."""


@dataclass(frozen=True, slots=True)
class Field:
    """A line of the register: where the field is, who it is about, and why and how long it is kept."""

    place: str
    subject: str
    kept: Kept


def sealed_fields() -> Iterator[Field]:
    """Return the sealed fields of the log. Raises KeyError for one without purpose and retention."""
    for entry in CATALOGUE:
        for field in entry.personal:
            assert entry.subject is not None, "a sealed field has a subject"
            yield Field(f"{entry.name} {field}", entry.subject, SEALED[entry.name, field])


def table_fields() -> Iterator[tuple[str, str, str]]:
    """Return table, column and the column that names the person, of each text in a read table."""
    for projection in PROJECTIONS:
        for table in projection.personal:
            personal = personal_text(table)
            assert personal is not None, "it is one with text of people"
            of = "" if personal.of is None else f"{personal.of.name}."
            for text in personal.texts:
                yield str(table.name), text, f"{of}{personal.subject}"
