"""Reconciliation without a database: the rules of matching, and random books beside statements made from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.accounts.posting import Entry, internal_account
from domain.accounts.reconciliation.claims import entry_claim
from domain.accounts.reconciliation.events import (
    EntryName,
    LinesMatched,
    LinesUnmatched,
    MatchedLine,
    MatchRule,
    MatchUndone,
    ReconciliationOpened,
    StatementPartListed,
)
from domain.accounts.reconciliation.match import (
    MOST_MATCHES,
    MatchByHand,
    MatchByRules,
    ProposedMatch,
    ReconciliationMatch,
    UndoMatch,
)
from domain.accounts.reconciliation.matching import (
    MOST_IN_MATCH,
    OutsideLine,
    OwnEntry,
    fits,
    propose,
)
from domain.accounts.reconciliation.part import ReconciliationPart
from domain.accounts.reconciliation.session import (
    AbandonReconciliation,
    CloseReconciliation,
    OpenReconciliation,
    Reconciliation,
)
from domain.accounts.reconciliation.statement import PART_LINES, StatementLine, part_stream
from domain.accounts.transaction import Deposit, PostTransaction, ReverseTransaction
from domain.claims import Claim, ClaimReleased
from domain.kernel import Unknown
from tests.samples.accounts.reconciliation import READY, brought, free_entries, line, statement
from tests.support.given import Given, refusal
from tests.support.memory_ledger import OPENED, TODAY, MemoryLedger

CASH = internal_account("main", "cash", "EUR")


def day(days: int) -> date:
    return TODAY - timedelta(days=days)


def of_line(number: int, amount: int, *references: str, days: int = 0, bank: str | None = None) -> OutsideLine:
    return OutsideLine(number, amount, day(days), references, bank)


def own(id: str, amount: int, reference: str | None = None, days: int = 0) -> OwnEntry:
    return OwnEntry(id, 1, amount, day(days), reference)


def found(lines: Sequence[OutsideLine], entries: Sequence[OwnEntry], days: int = 3) -> list[tuple[Any, ...]]:
    """What the rules match: rule, lines, and transactions."""
    return [
        (one.rule, one.lines, tuple(e.transaction for e in one.entries))
        for one in propose(lines, entries, days).proposals
    ]


# The rules, just inside and just outside


@pytest.mark.parametrize(
    ("line", "entry", "rule"),
    [
        (of_line(1, 10, "A"), own("t", 10, "A", days=300), "reference"),
        (of_line(1, 10, bank="t"), own("t", 10), "reference"),
        (of_line(1, 10, "A", bank="B"), own("t", 10, "B"), "reference"),
        (of_line(1, 10, "A"), own("t", 11, "A"), None),
        (of_line(1, 10, "A"), own("t", -10, "A"), None),
        (of_line(1, 10), own("t", 10, days=3), "amount_date"),
        (of_line(1, 10, days=3), own("t", 10), "amount_date"),
        (of_line(1, 10), own("t", 10, days=4), None),
        (of_line(1, 10), own("t", 11), None),
        (of_line(1, 10, "A"), own("t", 10), "amount_date"),
        (of_line(1, 10), own("t", 10, "B"), "amount_date"),
        (of_line(1, 10, bank="A"), own("t", 10, "B"), "amount_date"),
        (of_line(1, 10, "A"), own("t", 10, "B"), None),
    ],
)
def test_a_line_and_an_entry(line: OutsideLine, entry: OwnEntry, rule: MatchRule | None) -> None:
    assert found([line], [entry]) == ([] if rule is None else [(rule, (1,), ("t",))])
    assert propose([line], [entry], 3).ambiguous == ()
    if rule is not None:
        assert fits(rule, [line], [entry], 3)


def test_two_candidates_are_ambiguous_and_the_value_date_decides_between_equal_references() -> None:
    twice = [own("t", 10, "A"), own("u", 10, "A", days=1)]
    assert found([of_line(1, 10, "A"), of_line(2, 10, "A", days=1)], twice) == [
        ("reference_date", (1,), ("t",)),
        ("reference_date", (2,), ("u",)),
    ]
    assert propose([of_line(1, 10, "A", days=2)], twice, 3).ambiguous == (1,)
    plain = propose([of_line(1, 10), of_line(2, 5)], [own("t", 10), own("u", 10)], 3)
    assert (plain.proposals, plain.ambiguous) == ((), (1,))
    two_lines = propose([of_line(1, 10), of_line(2, 10)], [own("t", 10)], 3)
    assert (two_lines.proposals, two_lines.ambiguous) == ((), (1, 2))


def test_one_line_for_several_entries_and_the_reverse() -> None:
    three = [own("t", 10, "A"), own("u", 5, "A"), own("v", -1, "A")]
    assert found([of_line(1, 14, "A")], three) == [("reference_sum", (1,), ("t", "u", "v"))]
    assert found([of_line(1, 15, "A")], three) == []
    assert found([of_line(1, 10, "A"), of_line(2, 4, "A")], [own("t", 14, "A")]) == [("reference_sum", (1, 2), ("t",))]
    assert found([of_line(1, 14, "A"), of_line(2, 3, "A")], three) == [], "another line has the reference too"
    overlap = [own("t", 10, "A"), own("u", 4, "A"), own("v", 4, "B")]
    assert found([of_line(1, 14, "A", "B")], overlap) == [("reference_sum", (1,), ("t", "u"))]
    doubled = [own("t", 7, "A"), own("u", 7, "A"), own("v", 7, "B"), own("w", 7, "B")]
    assert found([of_line(1, 14, "A", "B")], doubled) == [], "two groups fit"


def test_a_match_has_a_bound() -> None:
    ones = [own(f"t{n}", 1, "A") for n in range(MOST_IN_MATCH)]
    assert len(propose([of_line(1, MOST_IN_MATCH, "A")], ones, 3).proposals) == 1
    more = [*ones, own("t", 1, "A")]
    assert propose([of_line(1, MOST_IN_MATCH + 1, "A")], more, 3).proposals == ()


@pytest.mark.parametrize("equal", ["references", "amounts"])
def test_thousands_that_are_alike_take_no_time(equal: str) -> None:
    """Each looks for two candidates, and not through all: 5,000 by 20,000 pairs would take minutes."""
    many = range(5_000)
    lines = [of_line(n, 1_000, *(["A"] if equal == "references" else [])) for n in many]
    entries = [own(f"t{n}", 1_000, "A" if equal == "references" else None) for n in range(20_000)]
    assert propose(lines, entries, 31).proposals == ()
    apart = [own(f"t{n}", 1_000, f"B-{n}") for n in range(20_000)]
    assert propose([of_line(n, 1_000, f"A-{n}") for n in many], apart, 31) == propose([], [], 3)


# Random books and statements


@st.composite
def books(draw: Any) -> tuple[list[OutsideLine], list[OwnEntry], dict[int, frozenset[str]]]:
    """Entries with references of their own, lines made from them, noise on both sides, and what belongs together."""
    entries: list[OwnEntry] = []
    lines: list[OutsideLine] = []
    truth: dict[int, frozenset[str]] = {}
    amounts = st.integers(1, 20).map(lambda n: n * 5)
    for group in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["pair", "split", "missing here", "missing there", "bank"]))
        reference, late = f"R-{group}", draw(st.integers(0, 5))
        ids = [f"t{group}-{n}" for n in range(draw(st.integers(2, 4)) if kind == "split" else 1)]
        sums = [draw(amounts) for _ in ids]
        number = group + 1
        if kind != "missing here":
            known = None if kind == "bank" else reference
            entries += [own(id, amount, known, days=late) for id, amount in zip(ids, sums, strict=True)]
        if kind != "missing there":
            names = () if kind == "bank" else (reference,)
            lines.append(of_line(number, sum(sums), *names, bank=ids[0] if kind == "bank" else f"BANK-{number}"))
            if kind != "missing here":
                truth[number] = frozenset(ids)
    order = draw(st.randoms(use_true_random=False))
    order.shuffle(lines)
    order.shuffle(entries)
    return lines, entries, truth


@given(books())
@settings(max_examples=300)
def test_everything_that_belongs_together_is_matched_and_nothing_else(
    made: tuple[list[OutsideLine], list[OwnEntry], dict[int, frozenset[str]]],
) -> None:
    lines, entries, truth = made
    proposed = propose(lines, entries, 3)
    matched = {one.lines[0]: frozenset(e.transaction for e in one.entries) for one in proposed.proposals}
    assert matched == truth
    assert proposed.ambiguous == ()


@given(books(), st.integers(0, 2**16))
def test_the_order_of_lines_and_entries_does_not_matter(made: Any, seed: int) -> None:
    lines, entries, _ = made
    before = propose(lines, entries, 3)
    Random(seed).shuffle(lines)
    Random(seed).shuffle(entries)
    after = propose(lines, entries, 3)
    assert {(one.rule, frozenset(one.lines), frozenset(one.entries)) for one in before.proposals} == {
        (one.rule, frozenset(one.lines), frozenset(one.entries)) for one in after.proposals
    }


alike = st.lists(
    st.tuples(st.integers(1, 2), st.sampled_from([None, "A", "B"]), st.integers(0, 5)), min_size=0, max_size=8
)


@given(alike, alike, st.integers(0, 4))
@settings(max_examples=500)
def test_what_is_proposed_fits_its_rule_and_each_line_and_entry_is_proposed_once(
    theirs: list[Any], ours: list[Any], days: int
) -> None:
    """Lines and entries that are much alike: nothing is guessed, and what fits and is left is ambiguous."""
    lines = {n: of_line(n, a, *([r] if r else []), days=d) for n, (a, r, d) in enumerate(theirs, 1)}
    entries = {f"t{n}": own(f"t{n}", a, r, days=d) for n, (a, r, d) in enumerate(ours)}
    proposed = propose(lines.values(), entries.values(), days)
    used_lines = [n for one in proposed.proposals for n in one.lines]
    used = [e.transaction for one in proposed.proposals for e in one.entries]
    assert len(set(used_lines)) == len(used_lines)
    assert len(set(used)) == len(used)
    for one in proposed.proposals:
        assert fits(one.rule, [lines[n] for n in one.lines], [entries[e.transaction] for e in one.entries], days)
    rules: tuple[MatchRule, ...] = ("reference", "amount_date")
    left = [n for n in lines if n not in used_lines]
    free = [entry for id, entry in entries.items() if id not in used]
    fitting = {n for n in left for e in free for rule in rules if fits(rule, [lines[n]], [e], days)}
    assert set(proposed.ambiguous) == fitting
    for n in left:
        alone = [e for e in free if fits("amount_date", [lines[n]], [e], days)]
        if len(alone) == 1:
            rivals = [m for m in left if fits("amount_date", [lines[m]], alone, days)]
            assert len(rivals) > 1, "a pair that fits only each other is matched"


# Commands


def ledger(*commands: Any) -> MemoryLedger:
    made = MemoryLedger()
    made.open_internal()
    for command in (*READY, *commands):
        made.accepted(command)
    return made


def match(number: int, entry: str, rule: MatchRule = "reference", lines: tuple[int, ...] = (1,)) -> ProposedMatch:
    return ProposedMatch(f"reconmch_{number}", rule, lines, (EntryName(entry, 2),))


OPEN = brought(line(1_000, "INV-1"), line(500), line(500))


def test_of_the_matches_of_a_command_those_that_still_fit_are_made() -> None:
    made = ledger(OPEN)
    wanted = (
        match(1, "txn_1"),
        match(2, "txn_1", lines=(2,)),  # the entry is taken by the one before
        match(3, "txn_2", "amount_date", (1,)),  # and so is the line
        match(4, "txn_2", "reference", (2,)),  # they have no reference in common
        match(5, "txn_2", "amount_date", (3,)),
        match(6, "txn_9", "amount_date", (2,)),  # no such transaction
        match(7, "txn_2", "amount_date", (9,)),  # no such line
    )
    made.accepted(MatchByRules("recon_1", wanted))
    assert [one.id for one in made.of(ReconciliationMatch)] == ["reconmch_1", "reconmch_5"]
    part = made[part_stream("recon_1", 1)]
    assert [one.match for one in part.lines] == ["reconmch_1", None, "reconmch_5"]
    assert made[entry_claim(EntryName("txn_1", 2))].holder == "reconmch_1"


def test_one_command_makes_a_bounded_number_of_matches() -> None:
    lines = [line(1, f"R-{n}") for n in range(MOST_MATCHES + 1)]
    deposits = [Deposit(f"txn_r{n}", "acct_a", 1, "EUR", TODAY, f"R-{n}") for n in range(len(lines))]
    made = ledger(*deposits, brought(*lines))
    wanted = tuple(match(n, f"txn_r{n}", lines=(n + 1,)) for n in range(len(lines)))
    made.accepted(MatchByRules("recon_1", wanted))
    assert len(made.of(ReconciliationMatch)) == MOST_MATCHES


def test_undoing_a_match_is_the_state_before_and_the_rules_leave_the_line_alone() -> None:
    made = ledger(OPEN)
    by_rules = MatchByRules("recon_1", (match(1, "txn_1"),))
    made.accepted(by_rules)
    undone = made.accepted(UndoMatch("recon_1", "reconmch_1", "the other invoice"))
    assert [type(event) for event in undone.events] == [MatchUndone, LinesUnmatched, ClaimReleased]
    part: ReconciliationPart = made[part_stream("recon_1", 1)]
    assert [one.match for one in part.lines] == [None, None, None]
    assert made[entry_claim(EntryName("txn_1", 2))].holder is None
    again = replace(by_rules, matches=(match(2, "txn_1"),))
    assert made.refused(again).rule == "nothing_matched"
    made.accepted(MatchByHand("recon_1", "reconmch_3", (1,), (EntryName("txn_1", 2),)))
    assert made.refused(UndoMatch("recon_1", "reconmch_1", "again")).rule == "match_undone"


def test_an_entry_is_matched_once_over_all_sessions() -> None:
    made = ledger(OPEN, brought(line(1_000, "INV-1"), reconciliation="recon_2", statement="S-2"))
    made.accepted(MatchByRules("recon_1", (match(1, "txn_1"),)))
    assert made.refused(MatchByRules("recon_2", (match(2, "txn_1"),))).rule == "nothing_matched"
    by_hand = MatchByHand("recon_2", "reconmch_3", (1,), (EntryName("txn_1", 2),))
    assert made.refused(by_hand).figures["match"] == "reconmch_1"
    made.accepted(UndoMatch("recon_1", "reconmch_1", "it is of the other statement"))
    made.accepted(by_hand)


def test_what_is_mirrored_has_the_opposite_sign() -> None:
    of_cash = OpenReconciliation("recon_1", CASH, statement(line(-1_000, "INV-1")), False, 3)
    mirrored = OpenReconciliation("recon_2", CASH, statement(line(1_000, "INV-1"), statement="S-2"), True, 3)
    made = ledger(of_cash, mirrored)
    entry = (EntryName("txn_1", 1),)
    assert made[part_stream("recon_1", 1)].lines[0].amount == made[part_stream("recon_2", 1)].lines[0].amount == -1_000
    made.accepted(MatchByHand("recon_2", "reconmch_1", (1,), entry))
    closed = made.accepted(CloseReconciliation("recon_1", "the other one has it"))
    assert closed.result["left"] == "-10.00"


def test_entries_of_a_reversed_transaction_and_of_its_reversal_can_be_matched() -> None:
    made = ledger(ReverseTransaction("txn_5", "txn_1", TODAY, "a mistake"), brought(line(1_000), line(-1_000)))
    made.accepted(MatchByHand("recon_1", "reconmch_1", (1,), (EntryName("txn_1", 2),)))
    made.accepted(MatchByHand("recon_1", "reconmch_2", (2,), (EntryName("txn_5", 2),)))


def test_two_entries_of_one_transaction_on_the_account_are_two_entries() -> None:
    entries = (
        Entry("acct_a", "credit", 30, "EUR"),
        Entry("acct_a", "credit", 12, "EUR"),
        Entry(CASH, "debit", 42, "EUR"),
    )
    made = ledger(PostTransaction("txn_5", "journal", entries, TODAY), brought(line(42)))
    made.accepted(MatchByHand("recon_1", "reconmch_1", (1,), (EntryName("txn_5", 1), EntryName("txn_5", 2))))


def test_texts_on_an_internal_account_are_sealed_with_a_key_of_the_session() -> None:
    made = ledger(OPEN, OpenReconciliation("recon_2", CASH, statement(line(1)), False, 3, "DE89"))
    subjects = [event.subject for event in made.log if isinstance(event, ReconciliationOpened | StatementPartListed)]
    assert subjects == ["owner-1", "owner-1", "recon_2", "recon_2"]


def test_a_large_statement_has_parts_and_a_match_spans_them() -> None:
    lines = [line(1, f"R-{n}") for n in range(PART_LINES + 1)]
    made = ledger(brought(*lines), Deposit("txn_3", "acct_a", 2, "EUR", TODAY))
    entry = (EntryName("txn_3", 2),)
    accepted = made.accepted(MatchByHand("recon_1", "reconmch_1", (PART_LINES, PART_LINES + 1), entry))
    assert [event.lines for event in accepted.events if isinstance(event, LinesMatched)] == [
        (MatchedLine(PART_LINES, "reconmch_1"),),
        (MatchedLine(PART_LINES + 1, "reconmch_1"),),
    ]
    made.accepted(UndoMatch("recon_1", "reconmch_1", "why"))
    assert [len(part.unmatched) for part in made.of(ReconciliationPart)] == [PART_LINES, 1]


def test_a_statement_without_lines() -> None:
    made = ledger(brought())
    made.accepted(CloseReconciliation("recon_1"))


def test_what_does_not_exist_is_unknown() -> None:
    made = ledger(OPEN)
    hand = MatchByHand("recon_1", "reconmch_1", (1,), (EntryName("txn_1", 2),))
    assert made.execute(replace(hand, lines=(4,))) == Unknown("line of a statement", "recon_1/4")
    assert made.execute(replace(hand, entries=(EntryName("txn_x", 1),))) == Unknown("transaction", "txn_x")
    assert made.execute(replace(hand, reconciliation="recon_9")) == Unknown("reconciliation", "recon_9")
    assert made.execute(UndoMatch("recon_1", "reconmch_9", "why")) == Unknown("reconciliation_match", "reconmch_9")
    assert made.execute(replace(OPEN, reconciliation="recon_2", account="acct_x")) == Unknown("account", "acct_x")
    made.accepted(hand)
    made.accepted(brought(line(1), reconciliation="recon_2", statement="S-2"))
    of_another = UndoMatch("recon_2", "reconmch_1", "why")
    assert made.execute(of_another) == Unknown("reconciliation_match", "reconmch_1")


def test_an_abandoned_session_frees_its_statement_and_a_closed_one_does_not() -> None:
    again = replace(OPEN, reconciliation="recon_2")
    closed = ledger(OPEN, CloseReconciliation("recon_1", "left"))
    assert closed.refused(again).rule == "statement_known"
    abandoned = ledger(OPEN, AbandonReconciliation("recon_1", "the wrong account"))
    abandoned.accepted(again)
    assert [one.status for one in abandoned.of(Reconciliation)] == ["abandoned", "open"]
    claims = [one for one in abandoned.of(Claim) if one.id.startswith("claim:statement")]
    assert {one.holder for one in claims} == {"recon_2"}


def test_the_same_figures_under_another_id_and_with_other_references_are_the_same_statement() -> None:
    lines = tuple(replace(one, references=("X",), text="another text") for one in OPEN.statement.lines)
    other = replace(OPEN, reconciliation="recon_2", statement=replace(OPEN.statement, statement="S-2", lines=lines))
    Given(ledger(OPEN)).when(other).then(refusal("statement_figures_known", reconciliation="recon_1"))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_random_books_are_matched_whole_and_undone_whole(seed: int) -> None:
    """A statement made from the entries of an account is matched by the rules, whole. Undone, all is as before."""
    chance, made = Random(seed), ledger()
    for n in range(chance.randint(1, 12)):
        amount, late = chance.randint(1, 5), chance.randint(0, 10)
        reference = f"R-{n}" if chance.random() < 0.5 else None
        made.accepted(Deposit(f"txn_r{n}", "acct_a", amount, "EUR", max(OPENED, day(late)), reference))
    entries = free_entries(made, "acct_a")
    lines = [
        StatementLine(TODAY, one.value_date, one.amount, (one.reference,) if one.reference else (), one.transaction)
        for one in entries
    ]
    chance.shuffle(lines)
    made.accepted(brought(*lines))
    before = {stream: state for stream, state in made.states.items() if stream.startswith("claim:reconciled")}
    assert before == {}
    part: ReconciliationPart = made[part_stream("recon_1", 1)]
    proposals = propose([one.outside for one in part.unmatched], entries, 3).proposals
    assert len(proposals) == len(lines)
    matches = tuple(ProposedMatch(f"reconmch_{n}", one.rule, one.lines, one.entries) for n, one in enumerate(proposals))
    made.accepted(MatchByRules("recon_1", matches))
    after: ReconciliationPart = made[part_stream("recon_1", 1)]
    assert after.unmatched == ()
    names = {f"reconmch_{n}": one for n, one in enumerate(proposals)}
    for one in after.lines:
        assert one.match is not None
        [name] = names[one.match].entries
        assert name.transaction == one.bank_reference, "nothing is matched wrong"
    for one_match in made.of(ReconciliationMatch):
        made.accepted(UndoMatch("recon_1", one_match.id, "why"))
    restored: ReconciliationPart = made[part_stream("recon_1", 1)]
    assert [replace(one, by_hand=False) for one in restored.lines] == list(part.lines)
    assert free_entries(made, "acct_a") == entries
    made.accepted(AbandonReconciliation("recon_1", "all undone"))
