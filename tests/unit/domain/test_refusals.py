"""Every rule, just kept and just broken, and the sentence the refused client reads.

A sentence is part of the answer of the API: who changes one changes a sample.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain import together
from domain.accounts.transaction import Deposit, Transfer
from domain.registry import explain
from domain.together import Together
from tests.samples.registry import SAMPLES
from tests.samples.sample import RuleSample
from tests.support.memory_ledger import TODAY, MemoryLedger, opening


def transfers(*amounts: int) -> Together:
    """Transfers in one unit, each from the account that has 2.00."""
    return Together(
        tuple(Transfer(f"txn_{n}", "acct_a", "acct_b", amount, "EUR", TODAY) for n, amount in enumerate(amounts))
    )


TOGETHER = {
    together.ITEM_REFUSED: RuleSample(
        given=(opening(account="acct_a"), opening(account="acct_b"), Deposit("txn_x", "acct_a", 200, "EUR", TODAY)),
        broken=transfers(200, 1),
        sentence=(
            "Nothing is carried out, because item 2 is refused: Account acct_a has 0.00 EUR available; debiting 0.01 "
            "would leave -0.01, below its minimum of 0.00."
        ),
        kept=(transfers(199, 1),),
    )
}
RULES = [item for samples in SAMPLES.values() for item in samples.rules.items()] + [*TOGETHER.items()]


def test_every_rule_of_commands_together_has_a_sample() -> None:
    assert set(TOGETHER) == set(together.RULES)


def ledger_with(sample: RuleSample) -> MemoryLedger:
    """A ledger in which `given` happened, for who sends the other commands."""
    ledger = MemoryLedger()
    ledger.open_internal()
    for command in sample.given:
        ledger.accepted(command)
    if sample.by is not None:
        ledger.context = replace(ledger.context, principal=sample.by)
    return ledger


@pytest.mark.parametrize(("rule", "sample"), RULES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_rule_that_is_just_broken_explains_itself(rule: str, sample: RuleSample) -> None:
    refusal = ledger_with(sample).refused(sample.broken)
    assert refusal.rule == rule
    assert explain(rule, refusal.figures) == sample.sentence


@pytest.mark.parametrize("sample", [sample for _, sample in RULES], ids=[rule for rule, _ in RULES])
def test_a_rule_that_is_just_kept_refuses_nothing(sample: RuleSample) -> None:
    ledger = ledger_with(sample)
    for command in sample.kept:
        ledger.accepted(command)
