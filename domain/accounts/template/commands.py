"""The commands on templates: define a version, retire one, and post by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from msgspec import field
from msgspec.structs import replace

from domain.accounts.account.state import ACCOUNT, Account
from domain.accounts.details import Details
from domain.accounts.fee_schedule import refuse_name
from domain.accounts.posting import Entry, internal_account, posting_decision, posting_streams
from domain.accounts.template.checking import in_order, refuse_definition
from domain.accounts.template.computing import entries_of
from domain.accounts.template.definition import Definition, currencies
from domain.accounts.template.state import Template, TemplateDefined, TemplateRetired, TemplateRevised, template_stream
from domain.accounts.transaction.described import transaction_of
from domain.accounts.transaction.waiting import post_or_wait
from domain.codes import Metadata
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import EXPONENTS, show
from domain.permissions import OPERATORS

MOST_ACTIVE = 20
"""Most versions of a template that can be posted at the same time."""


class DefineTemplate(Value, frozen=True):
    """Define a template, or the next version of one."""

    name: str
    definition: Definition

    @property
    def streams(self) -> tuple[str, ...]:
        return (template_stream(self.name), *self.definition.accounts)


class RetireTemplate(Value, frozen=True):
    """Retire a version of a template. It cannot be posted any more."""

    name: str
    number: int

    @property
    def streams(self) -> tuple[str, ...]:
        return (template_stream(self.name),)


class PostByTemplate(Value, frozen=True):
    """Post a transaction whose entries a template makes of parameters."""

    transaction: str
    template: str
    parameters: Mapping[str, str | int]
    value_date: date
    number: int | None = None  # None: the newest version that is not retired
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        # The accounts are not known yet. A key that is limited to accounts cannot post by templates therefore.
        return posting_streams(template_stream(self.template))


RULES: dict[str, str] = {
    "template_unchanged": "Version {number} of template {template} already is what this would define.",
    "template_versions": (
        "Template {template} has {count} versions that can be posted, and can have no other one; retire one first."
    ),
    "template_retired": "Version {number} of template {template} is retired.",
    "template_without_version": "All versions of template {template} are retired; define another one first.",
    "template_version_unknown": "Template {template} has no version {number}; the last one is {last}.",
}


def define(command: DefineTemplate, states: States, context: Context) -> Decision:
    name, stream = command.name, template_stream(command.name)
    refusal = refuse_name("template", name) or refuse_definition(command.definition)
    if refusal is not None:
        return refusal
    definition = in_order(command.definition)
    no = _refuse_fixed_accounts(definition, states)
    if no is not None:
        return no
    template = found(states, stream, Template)
    if template is None:
        return Accepted((TemplateDefined(stream, 1, name, 1, definition),), _result(name, 1, 1))
    newest = template.numbered(None)
    if newest is not None and newest.definition == definition:
        return Refused("template_unchanged", {"template": name, "number": newest.number})
    if len(template.active) >= MOST_ACTIVE:
        return Refused("template_versions", {"template": name, "count": len(template.active)})
    number = template.last + 1
    event = TemplateRevised(stream, template.version + 1, name, number, definition)
    return Accepted((event,), _result(name, number, number))


def _refuse_fixed_accounts(definition: Definition, states: States) -> Refused | Unknown | None:
    """Return why a fixed account of the entries cannot be one, or None."""
    known = currencies(definition)
    for entry in definition.entries:
        if entry.account is not None:
            account = found(states, entry.account, Account)
            if account is None:
                return Unknown("account", entry.account)
            currency = known[entry.amount]
            if currency in EXPONENTS and currency != account.profile.currency:
                return account.wrong_currency(currency)
    return None


def retire(command: RetireTemplate, states: States, context: Context) -> Decision:
    name, number = command.name, command.number
    template = found(states, template_stream(name), Template)
    if template is None:
        return Unknown("template", name)
    refusal = refuse_version(template, number)
    if refusal is not None:
        return refusal
    newest = template.newest_without(number)
    event = TemplateRetired(template_stream(name), template.version + 1, name, number, newest)
    return Accepted((event,), _result(name, number, newest))


def refuse_version(template: Template, number: int | None) -> Refused | None:
    """Return why this version, or the newest one, is not there to be posted or retired, or None."""
    if template.numbered(number) is not None:
        return None
    if number is None:
        return Refused("template_without_version", {"template": template.name})
    if 1 <= number <= template.last:
        return Refused("template_retired", {"template": template.name, "number": number})
    return Refused("template_version_unknown", {"template": template.name, "number": number, "last": template.last})


@posting_decision
def post_by_template(command: PostByTemplate, states: States, context: Context) -> Decision:
    template = found(states, template_stream(command.template), Template)
    if template is None:
        return Unknown("template", command.template)
    version = template.numbered(command.number)
    if version is None:
        return refuse_version(template, command.number) or Unknown("template", command.template)
    definition = version.definition
    entries = entries_of(template.name, definition, command.parameters, context.log)
    if isinstance(entries, Refused):
        return entries
    accounts = dict.fromkeys(entry.account for entry in entries)
    foreign = next((id for id in accounts if not id.startswith(f"{ACCOUNT}_")), None)
    if foreign is not None:
        return Unknown("account", foreign)
    missing = tuple(id for id in accounts if id not in states)
    if missing:
        return NeedsStreams(missing)
    refusal = _refuse_missing_internal(definition, entries, states, context)
    if refusal is not None:
        return refusal
    transaction = transaction_of(command, definition.kind, entries, _described_by(entries, states), states)
    details = Details(template=template.name, template_version=version.number, metadata=command.metadata)
    decision = post_or_wait(replace(transaction, details=details), states, context)
    if not isinstance(decision, Accepted):
        return decision
    lines: list[Figure] = [
        {
            "account": entry.account,
            "side": entry.side,
            "amount": show(entry.amount, entry.currency),
            "currency": entry.currency,
        }
        for entry in entries
    ]
    made: dict[str, Figure] = {"template": template.name, "number": version.number, "entries": lines}
    return replace(decision, result={**decision.result, **made})


def _refuse_missing_internal(
    definition: Definition, entries: tuple[Entry, ...], states: States, context: Context
) -> Refused | None:
    """Return the refusal because an internal account of the template is not open, or None."""
    internal = dict.fromkeys(entry.internal for entry in definition.entries if entry.internal is not None)
    for currency in dict.fromkeys(entry.currency for entry in entries):
        for role in internal:
            id = internal_account(context.log, role, currency)
            if id in states and states[id] is None:
                return Refused("internal_account_missing", {"role": role, "currency": currency})
    return None


def _described_by(entries: tuple[Entry, ...], states: States) -> str | None:
    """Return the first account of a customer, or else the first account. The key of its owner seals the description."""
    for entry in entries:
        account = found(states, entry.account, Account)
        if account is not None and not account.profile.internal:
            return entry.account
    return entries[0].account if entries else None


def _result(name: str, number: int, newest: int | None) -> dict[str, Figure]:
    return {"template": name, "number": number, "newest": newest}


DECISIONS: dict[type, Decide] = {
    DefineTemplate: define,
    RetireTemplate: retire,
    PostByTemplate: post_by_template,
}
MAY: dict[type, frozenset[Role]] = {DefineTemplate: OPERATORS, RetireTemplate: OPERATORS}
