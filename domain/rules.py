"""Every business rule a command can break: its code and the sentence that explains a refusal.

One source for the answers of the API, the record of refusals and the reference in the docs. The braces name the
figures a refusal carries. A code, once shipped, keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

RULES: dict[str, str] = {
    "item_refused": "Nothing is carried out, because item {item} is refused: {because}",
    "account_exists": "Account {account} exists already.",
    "account_closed": "Account {account} is closed; nothing can be posted to it or changed on it.",
    "account_frozen": "Account {account} is frozen; unfreeze it first.",
    "account_not_frozen": "Account {account} is not frozen.",
    "account_internal": "Account {account} is an internal account ({type}); this command is for customer accounts.",
    "internal_account_missing": (
        "The internal account for {role} in {currency} is not open; an operator opens it with type {role!r} first."
    ),
    "balance_not_zero": "Account {account} has a balance of {balance} {currency}; it must be zero to close.",
    "holds_open": "Account {account} has {holds} open holds over {reserved} {currency}; release or capture them first.",
    "number_taken": "Account number {number} is in use.",
    "limits_crossed": "The minimum {minimum} is over the maximum {maximum}.",
    "opened_in_future": "The opening date {opened_on} is after today, {today} (UTC).",
    "currency_mismatch": "Account {account} is kept in {account_currency}; the amount is in {currency}.",
    "same_account": "A transfer needs two different accounts; both are {account}.",
    "value_date_in_future": "The value date {value_date} is after today, {today} (UTC).",
    "value_date_before_opening": "The value date {value_date} is before account {account} was opened, {opened_on}.",
    "below_minimum": (
        "Account {account} has {available} {currency} available; debiting {amount} would leave {remaining}, "
        "under its minimum of {minimum}."
    ),
    "above_maximum": (
        "Account {account} has a balance of {balance} {currency}; crediting {amount} would make {resulting}, "
        "over its maximum of {maximum}."
    ),
    "entry_count": "A transaction has {least} to {most} entries; this one has {count}.",
    "entry_amount": "Entry {entry} is over {amount} {currency}; an entry is {least} to {most}.",
    "entries_unbalanced": "The {currency} entries sum to {sum}; credits and debits must be equal.",
    "hold_exists": "Hold {hold} exists already on account {account}.",
    "hold_unknown": "Account {account} has no open hold {hold}.",
    "hold_amount": "Hold {hold} is over {amount} {currency}; a hold is {least} to {most}.",
    "hold_count": "Account {account} has {holds} open holds, the most it may have.",
    "hold_exceeded": "Hold {hold} is over {held} {currency}; {amount} cannot be captured from it.",
    "order_exists": "Order {order} exists already.",
    "order_status": "Order {order} is {status}; only an order that is {required} can be {verb}.",
    "order_line_count": "An order has {least} to {most} lines; this one has {count}.",
    "order_line_quantity": "Line {line} has a quantity of {quantity}; a line is for {least} to {most}.",
    "order_line_amount": "Line {line} comes to {amount} {currency}; a line is {least} to {most}.",
    "order_total": "The order comes to {total} {currency}; the most is {most}.",
    "post_exists": "Post {post} exists already.",
    "post_status": "Post {post} is {status}; only a post that is {required} can be {verb}.",
    "post_unchanged": "Post {post} already has this title and body; a revision must change one of them.",
    "slug_malformed": (
        "{slug!r} is no slug: lower-case letters and digits in words joined by hyphens, at most {most} characters."
    ),
    "slug_taken": "The slug {slug!r} is in use by {holder}.",
}


def explain(rule: str, figures: Mapping[str, object]) -> str:
    """The sentence for a refusal. Raises KeyError for an unknown rule or a missing figure."""
    if rule == "item_refused":
        inner = cast(Mapping[str, object], figures["figures"])
        return RULES[rule].format_map({**figures, "because": explain(str(figures["rule"]), inner)})
    return RULES[rule].format_map(figures)
