"""The names of accounts in a text journal.

A name is one for all tools, so it has the form of the strictest, beancount: one of five roots, then parts of letters,
digits and `-`, each of which begins with a capital letter or a digit. It ends with the account number, which is unique
and never changes. No name is the beginning of another one, because beancount adds an account's balance to those above
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from domain.accounts.chart.events import NodeType
from domain.accounts.chart.state import Chart
from domain.accounts.numbers import AccountType

ROOTS: Final[Mapping[NodeType, str]] = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "income": "Income",
    "expense": "Expenses",
}
OPENING: Final = "Equity:Opening"
"""The other side of opening balances. No account of the ledger has this name: it has no number."""

TYPE_OF: Final[Mapping[AccountType, NodeType]] = {
    "checking": "liability",
    "savings": "liability",
    "credit": "liability",
    "merchant": "liability",
    "escrow": "liability",
    "cash": "asset",
    "banks": "asset",
    "fees": "income",
    "interest": "income",
    "penalties": "income",
    "revenue": "income",
    "rounding": "expense",
    "equity": "equity",
    "liquidity": "equity",
}
"""What an account is without a node of the chart: the usual places of `docs/howto/chart-of-accounts.md`."""

_NUMBER = re.compile(r"[A-Z]{3}[0-9]{12}")
_OTHER = re.compile(r"[^A-Za-z0-9-]")


def by_type(type: AccountType, number: str) -> str:
    """Return ``Liabilities:Checking:CHK000000004243``. It never changes."""
    return f"{ROOTS[TYPE_OF[type]]}:{type.capitalize()}:{number}"


def by_node(chart: Chart, code: str, number: str) -> str:
    """Return ``Assets:1000:1100:SYS000000004243``: the codes of the nodes down to that of the account, and its number.

    It changes when the node moves or the account is attached to another one.
    """
    nodes = [*chart.lineage(code)]
    return ":".join([ROOTS[nodes[0].type], *(_part(node.code) for node in reversed(nodes)), number])


def _part(code: str) -> str:
    """Return the code of a node as a part of a name. It never looks like an account number."""
    part = _OTHER.sub("-", code)
    part = part[0].upper() + part[1:]
    return f"{part}-" if _NUMBER.fullmatch(part) else part
