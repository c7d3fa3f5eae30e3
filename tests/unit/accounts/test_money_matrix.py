"""Every command that moves money against every rule that guards money, just inside the rule and just outside of it.

`COMMANDS` has a row for each way to post, and `RULES` has a column for each rule. A cell is tried, unless the row says
that the rule does not hold for the command (`free`, which is tried too) or that nothing can break it (`never`). A new
command that can reach `post` and has no row fails a test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from domain.accounts.posting import TransactionPosted, post
from domain.accounts.transaction.events import TransactionPended
from domain.kernel import Accepted, Decision, Refused
from domain.registry import AGGREGATES
from tests.support.memory_ledger import By
from tests.support.money_commands import AMOUNT, COMMANDS, Posting, world_of
from tests.support.money_rules import RULES


def outcome(decision: Decision) -> str:
    """The rule that refuses, or whether the transaction is posted or what it waits for."""
    if isinstance(decision, Refused):
        return decision.rule
    assert isinstance(decision, Accepted), decision
    made = next(event for event in decision.events if isinstance(event, TransactionPosted | TransactionPended))
    return f"waits for {made.awaits}" if isinstance(made, TransactionPended) else "posted"


# The cells


def cells() -> Iterator[Any]:
    for of in COMMANDS:
        for name in RULES:
            if name not in of.never:
                yield pytest.param(of, name, id=f"{of.name}-{name}")


@pytest.mark.parametrize(("of", "name"), list(cells()))
def test_a_command_keeps_a_rule(of: Posting, name: str) -> None:
    rule = RULES[name]
    expected = of.refused_by.get(name, rule.code)
    if of.waits and rule.asks is not None:
        expected = f"waits for {rule.asks}"
    inside, outside = world_of(of), world_of(of)
    assert outcome(inside.execute_by(rule.edge(inside, of, 0))) == of.outcome
    found = outcome(outside.execute_by(rule.edge(outside, of, 1)))
    assert found == (of.outcome if name in of.free else expected)
    inside.check()
    outside.check()


@pytest.mark.parametrize("of", COMMANDS, ids=lambda of: of.name)
def test_the_table_describes_the_command(of: Posting) -> None:
    world = world_of(of)
    was = {account: world[account] for account in (of.pays, of.gets)}
    assert outcome(world.execute_by(of.command())) == of.outcome
    assert world[of.transaction].kind == of.kind
    moved = 0 if world[of.transaction].status == "pending" else 1
    assert world[of.pays].balance == was[of.pays].balance - moved * AMOUNT
    assert world[of.gets].balance == was[of.gets].balance + moved * of.gain
    marked = [*of.refused_by, *of.free, *of.never]
    assert set(marked) <= RULES.keys()
    assert len(marked) == len(set(marked)), "a cell has one mark"


# That no command is missing


def functions_of(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The functions that a function names, also by the module that they are in, or has as a default."""
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        return
    names = set(names_of(plain.__code__))
    defaults = [*(plain.__defaults__ or ()), *(plain.__kwdefaults__ or {}).values()]
    yield from (one for one in defaults if callable(one))
    for name in names:
        value = plain.__globals__.get(name)
        found = [value] if not isinstance(value, ModuleType) else [vars(value).get(inner) for inner in names]
        yield from (one for one in found if callable(one))


def names_of(code: CodeType) -> Iterator[str]:
    """The names in the code of a function, and of those inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_of(constant)


def reaches_post(decision: Callable[..., Any]) -> bool:
    """Whether a decision can call the function that makes entries, itself or by other functions."""
    seen, left = {decision}, [decision]
    while left:
        one = left.pop()
        if one is post:
            return True
        new = set(functions_of(one)) - seen
        seen |= new
        left += new
    return False


def test_every_command_that_posts_has_a_row() -> None:
    posting = {
        command.__name__
        for aggregate in AGGREGATES
        for command, decision in aggregate.decisions.items()
        if reaches_post(decision)
    }
    made = [of.command() for of in COMMANDS]
    assert {type(one.command if isinstance(one, By) else one).__name__ for one in made} == posting
