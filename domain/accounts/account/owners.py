"""Owners and mandates: who may see an account, and who may move money from it.

An account has owners, and an owner may do both. A mandate lets another person see it, move up to an amount at a time,
or both, until an instant. `allows` is the rule. It is for customers; staff and programs are permitted by their roles.

Nothing tells a customer whether a foreign account exists: the answer is that of one that does not.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from domain.accounts.account.events import MandateGiven, MandateWithdrawn, OwnerAdded, OwnerRemoved
from domain.accounts.account.lifecycle import OnOneAccount
from domain.accounts.account.state import Account
from domain.codes import refuse_other_than_code
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Figure,
    Forbidden,
    Principal,
    Refused,
    Role,
    States,
    Unknown,
    found,
)
from domain.money import MAX_AMOUNT, show
from domain.permissions import COMMANDERS, EVERYONE, may

MOST_OWNERS, MOST_MANDATES = 20, 50
"""Most owners and mandates of an account, so that its state fits a snapshot."""


class AddOwner(OnOneAccount, frozen=True):
    """Make a person an owner of an account."""

    person: str


class RemoveOwner(OnOneAccount, frozen=True):
    """End the ownership of a person. The last owner stays."""

    person: str


class GiveMandate(OnOneAccount, frozen=True):
    """Let a person use an account. It replaces the mandate that the person has."""

    person: str
    may_see: bool
    move_up_to: int | None
    currency: str
    until: datetime | None = None  # aware, UTC


class WithdrawMandate(OnOneAccount, frozen=True):
    """End the mandate of a person."""

    person: str


RULES: dict[str, str] = {
    "owner_exists": "{person} is an owner of account {account} already.",
    "owner_unknown": "{person} is no owner of account {account}.",
    "owner_last": "{person} is the last owner of account {account}; add another one first.",
    "owner_count": "Account {account} has {owners} owners and can have no other one; remove one first.",
    "mandate_unknown": "{person} has no mandate of account {account}.",
    "mandate_count": (
        "Account {account} has {mandates} mandates and can have no other one; withdraw some first, such as ended ones."
    ),
    "mandate_empty": "A mandate is to see the account, to move an amount from it, or both; this one is for neither.",
    "mandate_amount": "A mandate is to move {least} to {most} {currency}; this one is for {amount}.",
    "mandate_end": "The mandate would end at {until}; a mandate ends after now, {now}.",
    "mandate_exceeded": (
        "{person} may move up to {move_up_to} {currency} at a time from account {account}; this is {amount}."
    ),
    "account_unseen": "Account {account} takes no part in this; {person} may not see the account, nor why.",
}

# The rule


def allows(account: Account, person: str | None, at: datetime, *, debit: int | None = None) -> bool:
    """Return whether the person may see the account at this time, or, with `debit`, take so many minor units from it.

    It is the one rule about what is whose. Reads say the same in SQL (`projections.accounts.account_persons`).
    """
    profile = account.profile
    if person is None or profile.internal:
        return False
    if person in profile.owners:
        return True
    mandate = account.mandate(person)
    if mandate is None or (mandate.until is not None and mandate.until <= at):
        return False
    if debit is None:
        return mandate.may_see
    return mandate.move_up_to is not None and debit <= mandate.move_up_to


def knows(account: Account, person: str | None, at: datetime) -> bool:
    """Return whether the person may do anything with the account at this time, and so may know that it exists."""
    return allows(account, person, at) or allows(account, person, at, debit=1)


# What a customer may do


def is_customer(context: Context) -> bool:
    """Return whether who sends the command may use only what is theirs."""
    return not may(context.principal, COMMANDERS, context.decided_at)


def as_customer(context: Context, person: str | None) -> Context:
    """Return the context in which a process acts for a customer who asked for it: the customer's rules hold."""
    principal = context.principal
    return replace(context, principal=Principal(principal.id, ("customer",), principal.how, person))


def refuse_debit(
    account: Account | None, id: str, amount: int, currency: str, context: Context
) -> Refused | Unknown | None:
    """Return why the customer may not take the amount from the account with this id, or None.

    An amount in another currency passes: every command refuses it for its currency.
    """
    person, at = context.principal.person, context.decided_at
    if account is None or person is None or not knows(account, person, at):
        return Unknown("account", id)
    if currency != account.profile.currency or allows(account, person, at, debit=amount):
        return None
    mandate = account.mandate(person)
    figures: dict[str, Figure] = {
        "person": person,
        "account": id,
        "move_up_to": show((mandate and mandate.move_up_to) or 0, currency),
        "amount": show(amount, currency),
        "currency": currency,
    }
    return Refused("mandate_exceeded", figures)


def refuse_payee(account: Account | None, id: str) -> Unknown | None:
    """Return why a customer may not pay into the account with this id, or None. Only internal ones take nothing."""
    return Unknown("account", id) if account is None or account.profile.internal else None


_OF_STATE = frozenset({"balance", "reserved", "available"})


def for_customer(decision: Decision, states: States, context: Context) -> Decision:
    """Return the decision without what it tells about accounts that the customer may not see.

    These are balances, versions of streams, and why an account takes no part. `states` has all accounts of the command.
    """
    person, at = context.principal.person, context.decided_at
    unseen = frozenset(
        id for id, state in states.items() if isinstance(state, Account) and not allows(state, person, at)
    )
    if isinstance(decision, Accepted) and unseen:
        result = dict(decision.result)
        if result.get("account") in unseen:
            result = {name: value for name, value in result.items() if name not in _OF_STATE}
        balances = result.get("balances")
        if isinstance(balances, dict):
            result["balances"] = {id: balance for id, balance in balances.items() if id not in unseen}
        return replace(decision, result=result, unseen=unseen)
    if isinstance(decision, Refused) and (account := decision.figures.get("account")) in unseen:
        return Refused("account_unseen", {"account": account, "person": person})
    return decision


# Decisions

_ABOUT_MANDATES = "decides about the mandates of"


def add_owner(command: AddOwner, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = refuse_other_than_code("person", command.person) or refuse_owner(account, command.person)
    if refusal is not None:
        return refusal
    event = OwnerAdded(command.account, account.version + 1, command.person)
    return Accepted((event,), {"account": command.account, "person": command.person})


def remove_owner(command: RemoveOwner, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = refuse_removal(account, command.person)
    if refusal is not None:
        return refusal
    event = OwnerRemoved(command.account, account.version + 1, command.person)
    return Accepted((event,), {"account": command.account, "person": command.person})


def give_mandate(command: GiveMandate, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    event = MandateGiven(
        originator_id=command.account,
        originator_version=account.version + 1,
        person=command.person,
        may_see=command.may_see,
        move_up_to=command.move_up_to,
        currency=command.currency,
        until=command.until,
    )
    no = (
        refuse_other_than_owner(account, context, _ABOUT_MANDATES)
        or refuse_other_than_code("person", command.person)
        or refuse_mandate(account, event, context.decided_at)
    )
    if no is not None:
        return no
    result: dict[str, Figure] = {
        "account": command.account,
        "person": command.person,
        "may_see": command.may_see,
        "move_up_to": None if command.move_up_to is None else show(command.move_up_to, command.currency),
        "currency": command.currency,
        "until": None if command.until is None else command.until.isoformat(),
    }
    return Accepted((event,), result)


def withdraw_mandate(command: WithdrawMandate, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    no = refuse_other_than_owner(account, context, _ABOUT_MANDATES) or refuse_withdrawal(account, command.person)
    if no is not None:
        return no
    event = MandateWithdrawn(command.account, account.version + 1, command.person)
    return Accepted((event,), {"account": command.account, "person": command.person})


def refuse_other_than_owner(account: Account, context: Context, does: str) -> Unknown | Forbidden | None:
    """Return why a customer may not do what only owners may do with the account, or None. `does` says what."""
    if not is_customer(context):
        return None
    person, id = context.principal.person, account.profile.id
    if not knows(account, person, context.decided_at):
        return Unknown("account", id)
    if person in account.profile.owners:
        return None
    return Forbidden(f"Only an owner {does} account {id}; {person} is none.")


def refuse_owner(account: Account, person: str) -> Refused | None:
    """Return the refusal of another owner, or None."""
    profile = account.profile
    if profile.internal:
        return Refused("account_internal", {"account": profile.id, "type": profile.type})
    if account.status == "closed":
        return Refused("account_closed", {"account": profile.id})
    if person in profile.owners:
        return Refused("owner_exists", {"person": person, "account": profile.id})
    if len(profile.owners) >= MOST_OWNERS:
        return Refused("owner_count", {"account": profile.id, "owners": len(profile.owners)})
    return None


def refuse_removal(account: Account, person: str) -> Refused | None:
    """Return the refusal to remove an owner, or None. A closed account can lose one too: fewer may see it then.

    An owner of before owners were codes can be removed; another text is not quoted.
    """
    owners = account.profile.owners
    if person not in owners:
        return refuse_other_than_code("person", person) or Refused(
            "owner_unknown", {"person": person, "account": account.profile.id}
        )
    if len(owners) == 1:
        return Refused("owner_last", {"person": person, "account": account.profile.id})
    return None


def refuse_mandate(account: Account, given: MandateGiven, now: datetime) -> Refused | None:
    """Return the refusal of this mandate, or None. A frozen account can get one, and nothing moves meanwhile."""
    profile, person, amount, currency = account.profile, given.person, given.move_up_to, given.currency
    if profile.internal:
        return Refused("account_internal", {"account": profile.id, "type": profile.type})
    if account.status == "closed":
        return Refused("account_closed", {"account": profile.id})
    if currency != profile.currency:
        return account.wrong_currency(currency)
    if person in profile.owners:
        return Refused("owner_exists", {"person": person, "account": profile.id})
    if amount is None and not given.may_see:
        return Refused("mandate_empty", {"person": person, "account": profile.id})
    if amount is not None and not 0 < amount <= MAX_AMOUNT:
        least, most = show(1, currency), show(MAX_AMOUNT, currency)
        figures = {"least": least, "most": most, "currency": currency, "amount": show(amount, currency)}
        return Refused("mandate_amount", figures)
    if given.until is not None and given.until <= now:
        return Refused("mandate_end", {"until": given.until.isoformat(), "now": now.isoformat()})
    if account.mandate(person) is None and len(profile.mandates) >= MOST_MANDATES:
        return Refused("mandate_count", {"account": profile.id, "mandates": len(profile.mandates)})
    return None


def refuse_withdrawal(account: Account, person: str) -> Refused | None:
    """Return the refusal to withdraw a mandate, or None. A mandate of a closed account can be withdrawn too."""
    if account.mandate(person) is None:
        return refuse_other_than_code("person", person) or Refused(
            "mandate_unknown", {"person": person, "account": account.profile.id}
        )
    return None


DECISIONS: dict[type, Decide] = {
    AddOwner: add_owner,
    RemoveOwner: remove_owner,
    GiveMandate: give_mandate,
    WithdrawMandate: withdraw_mandate,
}
MAY: dict[type, frozenset[Role]] = {GiveMandate: EVERYONE, WithdrawMandate: EVERYONE}
