"""Details and metadata: the name of an account, and the pairs that clients keep with it.

The name is personal, so the key of the owner seals it, and the state does not have it. Metadata are codes, in clear:
what is matched by, never a text about a person. Both can change while the account is frozen, because nothing moves.
"""

from __future__ import annotations

from domain.accounts.account.events import AccountDetailsChanged, AccountMetadataChanged
from domain.accounts.account.lifecycle import OnOneAccount
from domain.accounts.account.owners import refuse_other_than_owner
from domain.accounts.account.state import Account, keys_after
from domain.codes import MOST_PAIRS, Metadata, refuse_metadata
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Forbidden,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    found,
)
from domain.permissions import EVERYONE, OPERATORS, may


class ChangeAccountDetails(OnOneAccount, frozen=True):
    """Give an account another name."""

    name: Personal


class ChangeAccountMetadata(OnOneAccount, frozen=True):
    """Set pairs of metadata, and remove others. Other pairs stay."""

    set: Metadata
    remove: tuple[str, ...] = ()


RULES: dict[str, str] = {
    "metadata_unchanged": "The change of the metadata of account {account} sets nothing and removes nothing.",
    "metadata_unknown": "Account {account} has no metadata {key} that could be removed.",
    "metadata_twice": "The change sets and removes the metadata {key}; it can only do one of them.",
}


def change_details(command: ChangeAccountDetails, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    no = (
        refuse_other_than_owner(account, context, "changes the details of")
        or _refuse_internal(account, context)
        or refuse_change(account)
    )
    if no is not None:
        return no
    event = AccountDetailsChanged(
        originator_id=command.account,
        originator_version=account.version + 1,
        owner=account.profile.owner,
        name=command.name,
    )
    return Accepted((event,), {"account": command.account, "status": account.status})


def change_metadata(command: ChangeAccountMetadata, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    event = AccountMetadataChanged(
        originator_id=command.account,
        originator_version=account.version + 1,
        metadata=command.set,
        removed=tuple(dict.fromkeys(command.remove)),
    )
    no = _refuse_internal(account, context) or refuse_metadata_change(account, event)
    if no is not None:
        return no
    return Accepted((event,), {"account": command.account, "status": account.status})


def _refuse_internal(account: Account, context: Context) -> Forbidden | None:
    """Return why somebody else than an operator may not change an internal account, or None."""
    if not account.profile.internal or may(context.principal, OPERATORS, context.decided_at):
        return None
    return Forbidden(f"Only an operator changes an internal account; {context.principal.id} is none.")


def refuse_change(account: Account) -> Refused | None:
    """Return the refusal to change the details or metadata of a closed account, or None."""
    return Refused("account_closed", {"account": account.profile.id}) if account.status == "closed" else None


def refuse_metadata_change(account: Account, change: AccountMetadataChanged) -> Refused | None:
    """Return the refusal of this change of the metadata, or None. The bound holds for the pairs after it."""
    id, keys = account.profile.id, account.profile.metadata_keys
    refusal = (
        refuse_change(account)
        or refuse_metadata(change.metadata)
        or refuse_metadata(dict.fromkeys(change.removed, "removed"))
    )
    if refusal is not None:
        return refusal
    if not change.metadata and not change.removed:
        return Refused("metadata_unchanged", {"account": id})
    for key in change.removed:
        if key in change.metadata:
            return Refused("metadata_twice", {"key": key})
        if key not in keys:
            return Refused("metadata_unknown", {"account": id, "key": key})
    pairs = len(keys_after(keys, change))
    return Refused("metadata_pairs", {"pairs": pairs, "most": MOST_PAIRS}) if pairs > MOST_PAIRS else None


DECISIONS: dict[type, Decide] = {ChangeAccountDetails: change_details, ChangeAccountMetadata: change_metadata}
MAY: dict[type, frozenset[Role]] = {ChangeAccountDetails: EVERYONE}
