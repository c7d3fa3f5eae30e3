"""The chart of accounts: the tree stays a tree, and postings keep the rule of the node of each account."""

from __future__ import annotations

from functools import reduce
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.accounts.account.attachment import AttachAccount, DetachAccount
from domain.accounts.account.events import AccountAttached, AccountDetached
from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.lifecycle import CloseAccount
from domain.accounts.account.state import Account
from domain.accounts.chart.events import ChartCreated, NodeAdded, NodeChanged, NodeMoved, NodeRemoved, NodeType
from domain.accounts.chart.node_accounts import NodeAccountAdded, NodeAccountRemoved, NodeAccounts, node_stream
from domain.accounts.chart.nodes import SIDES, AddNode, ChangeNode, MoveNode, RemoveNode
from domain.accounts.chart.state import CHART, MOST_LEVELS, Chart, evolve
from domain.accounts.kinds import TransactionKind
from domain.accounts.posting import internal_account
from domain.accounts.transaction import CaptureHold, ChargeFee, Deposit, Transfer, Withdraw
from domain.aggregate import Decided
from domain.kernel import Accepted, Context, NeedsStreams, Refused, Unknown
from domain.registry import decide
from domain.together import Together
from tests.samples.registry import history
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, PRINCIPAL, TODAY, MemoryLedger, new_id, opening, transfer

CASH = internal_account("main", "cash", "EUR")


def ledger_with(*commands: Any) -> MemoryLedger:
    """A ledger in which these commands were accepted, after the internal accounts were opened."""
    ledger = MemoryLedger()
    ledger.open_internal()
    for command in commands:
        ledger.accepted(command)
    return ledger


def deposit(account: str = "acct_a", amount: int = 1) -> Deposit:
    return Deposit(new_id("txn"), account, amount, "EUR", TODAY)


def fee(account: str = "acct_a") -> ChargeFee:
    return ChargeFee(new_id("txn"), account, 1, "EUR", TODAY)


A, B = opening(account="acct_a", minimum=None), opening(account="acct_b", minimum=None)
ROOT, CHILD, OTHER = (
    AddNode("1000", "Customers", "liability"),
    AddNode("1100", "Savings", parent="1000"),
    AddNode("2000", "Others", "liability"),
)

# The tree

CODES = [f"n{number}" for number in range(14)]
KINDS: tuple[tuple[TransactionKind, ...] | None, ...] = (None, (), ("deposit",), ("fee", "deposit", "fee"))
_code, _kinds = st.sampled_from(CODES), st.sampled_from(KINDS)
_commands = st.one_of(
    st.builds(AddNode, _code, st.just("Node"), st.just("asset"), st.none(), st.booleans(), _kinds),
    st.builds(AddNode, _code, st.just("Node"), st.just("income"), st.none(), st.booleans(), _kinds),
    st.builds(AddNode, _code, st.just("Node"), st.none(), _code, st.booleans(), _kinds),
    st.builds(AddNode, _code, st.just("Node"), st.just("asset"), _code),
    st.builds(MoveNode, _code, st.one_of(st.none(), _code)),
    st.builds(ChangeNode, _code, st.sampled_from(("Node", "Another")), _kinds),
    st.builds(RemoveNode, _code),
)


class Model:
    """A tree as plain dictionaries, which asks nothing of the domain."""

    def __init__(self) -> None:
        self.parents: dict[str, str | None] = {}
        self.types: dict[str, str] = {}
        self.kinds: dict[str, set[str] | None] = {}
        self.titles: dict[str, str] = {}

    def up(self, node: str | None) -> list[str]:
        found: list[str] = []
        while node is not None:
            assert node not in found, "a cycle"
            found.append(node)
            node = self.parents[node]
        return found

    def under(self, node: str) -> list[str]:
        return [other for other in self.parents if node in self.up(other)]

    def accepts(self, command: Any) -> bool:
        """Whether the command keeps the tree a tree, and changes something."""
        node, there = command.node, command.node in self.parents
        match command:
            case AddNode():
                above = command.parent
                if there or (above is not None and above not in self.parents):
                    return False
                if above is not None and command.type not in (None, self.types[above]):
                    return False
                return len(self.up(command.parent)) < MOST_LEVELS
            case MoveNode():
                above = command.parent
                if not there or (above is not None and above not in self.parents) or self.parents[node] == above:
                    return False
                if above is not None and (above in self.under(node) or self.types[above] != self.types[node]):
                    return False
                height = max(len(self.up(one)) for one in self.under(node)) - len(self.up(node)) + 1
                return len(self.up(above)) + height <= MOST_LEVELS
            case ChangeNode():
                kinds = None if command.kinds is None else set(command.kinds)
                return there and (self.titles[node], self.kinds[node]) != (command.title, kinds)
            case _:
                return there and self.under(node) == [node]

    def apply(self, command: Any) -> None:
        node = command.node
        match command:
            case AddNode():
                self.parents[node] = command.parent
                self.types[node] = command.type or self.types[self.up(node)[-1]]
                self.kinds[node] = None if command.kinds is None else set(command.kinds)
                self.titles[node] = command.title
            case MoveNode():
                self.parents[node] = command.parent
            case ChangeNode():
                self.kinds[node] = None if command.kinds is None else set(command.kinds)
                self.titles[node] = command.title
            case RemoveNode():
                del self.parents[node]

    def allowed(self, node: str) -> set[str] | None:
        return next((kinds for one in self.up(node) if (kinds := self.kinds[one]) is not None), None)


@examples(commands=st.lists(_commands, max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_commands_leave_a_tree(commands: list[Any]) -> None:
    """What is accepted, and what each node takes afterwards, is what a model says that knows only dictionaries."""
    ledger, model = MemoryLedger(), Model()
    for command in commands:
        expected = model.accepts(command)
        decision = ledger.execute(command)
        assert isinstance(decision, Accepted) is expected, (command, decision)
        if expected:
            model.apply(command)
    [chart] = ledger.of(Chart) or [Chart(0)]
    assert {node.code: node.parent for node in chart.nodes} == model.parents
    for node in chart.nodes:
        above = model.up(node.code)
        assert len(above) <= MOST_LEVELS
        assert {one.type for one in chart.nodes if one.code in above} == {node.type} == {model.types[node.code]}
        assert (set(kinds) if (kinds := chart.allowed.get(node.code)) is not None else None) == model.allowed(node.code)
    ledger.check()


def chain(prefix: str, levels: int) -> list[AddNode]:
    """A root and what is below it, each node below the one before."""
    root = AddNode(f"{prefix}1", "Node", "asset")
    return [root, *(AddNode(f"{prefix}{n}", "Node", parent=f"{prefix}{n - 1}") for n in range(2, levels + 1))]


def test_a_move_counts_the_levels_of_what_moves_with_the_node() -> None:
    ledger = ledger_with(*chain("a", 5), *chain("b", MOST_LEVELS - 5))
    ledger.accepted(MoveNode("b1", "a5"))
    ledger.accepted(MoveNode("b1", None))
    ledger.accepted(AddNode("lower", "Node", parent=f"b{MOST_LEVELS - 5}"))
    refused = ledger.refused(MoveNode("b1", "a5"))
    assert refused == Refused("node_level", {"level": MOST_LEVELS + 1, "most": MOST_LEVELS})
    ledger.accepted(MoveNode("b1", "a4"))


@pytest.mark.parametrize("type", get_args(NodeType))
def test_a_contra_node_has_the_other_side(type: NodeType) -> None:
    ledger = ledger_with(AddNode("r", "Root", type), AddNode("c", "Contra", parent="r", contra=True))
    root, contra = ledger[CHART].nodes
    assert root.side == SIDES[type] == ("debit" if type in ("asset", "expense") else "credit")
    assert {contra.side, root.side} == {"debit", "credit"}


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        (AddNode("1", "Node", parent="none"), "none"),
        (MoveNode("none", None), "none"),
        (MoveNode("1000", "none"), "none"),
        (ChangeNode("none", "Node", None), "none"),
        (RemoveNode("none"), "none"),
        (AttachAccount("acct_a", "none"), "none"),
    ],
)
def test_a_node_that_is_not_there_is_unknown(command: Any, unknown: str) -> None:
    assert ledger_with(A, ROOT).execute(command) == Unknown("node", unknown)


@pytest.mark.parametrize("title", ["", " ", "a@b", "a\n", "-a", "a;b", "日本", "a\u0000", "x" * 61])
def test_a_text_that_is_no_title(title: str) -> None:
    refused = ledger_with(ROOT).refused(ChangeNode("1000", title, None))
    assert refused == Refused("node_title", {"most": 60}), "the text is not quoted"


@pytest.mark.parametrize("code", ["", " ", "a b", "a/b", "a#b", ".a", "ä", "x" * 41, "a\n"])
def test_a_text_that_is_no_code_of_a_node(code: str) -> None:
    assert MemoryLedger().refused(AddNode(code, "Node", "asset")).rule == "node_code"


@pytest.mark.parametrize(
    "events",
    [
        (NodeAdded(CHART, 1, "a", "A", "asset", "debit", None, None),),
        (ChartCreated(CHART, 1), ChartCreated(CHART, 2)),
        (ChartCreated(CHART, 1), NodeRemoved(CHART, 2, "a")),
        (ChartCreated(CHART, 1), NodeAdded(CHART, 2, "a", "A", "asset", "debit", "none", None)),
        (ChartCreated(CHART, 1), *[NodeAdded(CHART, n, "a", "A", "asset", "debit", None, None) for n in (2, 3)]),
        (
            ChartCreated(CHART, 1),
            NodeAdded(CHART, 2, "a", "A", "asset", "debit", None, None),
            NodeMoved(CHART, 3, "a", "a"),
        ),
        (
            ChartCreated(CHART, 1),
            NodeAdded(CHART, 2, "a", "A", "asset", "debit", None, None),
            NodeAdded(CHART, 3, "b", "B", "asset", "debit", "a", None),
            NodeRemoved(CHART, 4, "a"),
        ),
    ],
)
def test_events_that_make_no_tree_do_not_fold(events: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"version|begins"):
        reduce(evolve, events, None)


# Accounts


def test_an_account_moves_between_nodes_and_each_counts() -> None:
    ledger = ledger_with(A, B, ROOT, CHILD, *(AttachAccount(account, "1100") for account in ("acct_a", "acct_b")))
    assert ledger[node_stream("1100")].count == 2
    chart = ledger[CHART]
    decision = ledger.accepted(AttachAccount("acct_a", "1000"))
    assert [type(event) for event in decision.events] == [AccountAttached, NodeAccountRemoved, NodeAccountAdded]
    assert ledger["acct_a"].profile.node == "1000"
    assert (ledger[node_stream("1100")].count, ledger[node_stream("1000")].count) == (1, 1)
    assert ledger.refused(RemoveNode("1100")).rule == "node_has_accounts"
    ledger.accepted(DetachAccount("acct_b"))
    assert ledger[CHART] is chart, "attaching and detaching do not change what postings read"
    ledger.accepted(RemoveNode("1100"))


def test_a_closed_account_can_leave_its_node() -> None:
    ledger = ledger_with(A, ROOT, OTHER, AttachAccount("acct_a", "1000"), CloseAccount("acct_a", "over"))
    ledger.accepted(AttachAccount("acct_a", "2000"))
    ledger.accepted(DetachAccount("acct_a"))


# The rule of postings


def test_a_node_takes_the_kinds_of_its_own_rule_or_of_the_one_above() -> None:
    ledger = ledger_with(A, ROOT, CHILD, AttachAccount("acct_a", "1100"), deposit(), fee())
    ledger.accepted(ChangeNode("1000", "Customers", ("withdrawal", "deposit")))
    figures = ledger.refused(fee()).figures
    assert figures == {"account": "acct_a", "node": "1100", "kind": "fee", "allowed": "deposit, withdrawal"}
    ledger.accepted(deposit())
    ledger.accepted(ChangeNode("1100", "Savings", ("fee",)))
    ledger.accepted(fee())
    assert ledger.refused(deposit()).rule == "kind_not_allowed"
    ledger.accepted(ChangeNode("1100", "Savings", ()))
    assert ledger.refused(fee()).figures["allowed"] == "no kind"
    ledger.accepted(ChangeNode("1100", "Savings", None))
    ledger.accepted(MoveNode("1100", None))
    ledger.accepted(fee())
    ledger.accepted(MoveNode("1100", "1000"))
    assert ledger.refused(fee()).rule == "kind_not_allowed"
    ledger.accepted(DetachAccount("acct_a"))
    ledger.accepted(fee())


def test_each_way_to_post_keeps_the_rule_of_each_account() -> None:
    """On either side, of customers and of the ledger's own accounts, and when a hold is captured."""
    closed = AddNode("3000", "Closed", "liability", kinds=())
    ledger = ledger_with(
        A, B, closed, deposit(amount=100), deposit("acct_b", 100), PlaceHold("acct_a", "hold_1", 5, "EUR")
    )
    ways: tuple[Any, ...] = (
        transfer("acct_a", "acct_b", 1),
        transfer("acct_b", "acct_a", 1),
        CaptureHold("acct_a", "hold_1", new_id("txn"), "acct_b", 5, "EUR", TODAY),
        deposit(),
        Withdraw(new_id("txn"), "acct_a", 1, "EUR", TODAY),
        fee(),
    )
    ledger.accepted(AttachAccount("acct_a", "3000"))
    for command in ways:
        assert ledger.refused(command).figures["account"] == "acct_a", command
    ledger.accepted(DetachAccount("acct_a"))
    ledger.accepted(AttachAccount(CASH, "3000"))
    assert ledger.refused(deposit()).figures["account"] == CASH
    ledger.accepted(fee())


def test_the_chart_is_read_only_for_an_account_with_a_node() -> None:
    ledger = ledger_with(A, B, deposit(amount=100), ROOT)
    command, context = transfer("acct_a", "acct_b", 1), Context(NOW, "main", PRINCIPAL)
    assert CHART not in command.streams
    states = {stream: ledger.states.get(stream) for stream in command.streams}
    assert isinstance(decide(command, states, context), Accepted)
    ledger.accepted(AttachAccount("acct_b", "1000"))
    states = {stream: ledger.states.get(stream) for stream in command.streams}
    assert decide(command, states, context) == NeedsStreams((CHART,))
    states[CHART] = ledger[CHART]
    assert isinstance(decide(command, states, context), Accepted)


def test_a_refusal_expects_the_chart_that_it_was_decided_on() -> None:
    ledger = ledger_with(A, AddNode("1000", "Closed", "liability", kinds=()), AttachAccount("acct_a", "1000"))
    assert CHART not in ledger.refused(deposit()).commuting


def test_nodes_attachments_and_postings_in_one_unit() -> None:
    """Each item sees the chart after those before it. A posting before the rule is accepted with it."""
    ledger = ledger_with(A)
    together = Together(
        (ROOT, AttachAccount("acct_a", "1000"), deposit(), ChangeNode("1000", "Customers", ("deposit",)), deposit())
    )
    decision = ledger.decide(together)
    assert isinstance(decision, Accepted)
    refused = ledger.decide(Together((*together.commands, fee())))
    assert isinstance(refused, Refused)
    assert (refused.figures["item"], refused.figures["rule"]) == (6, "kind_not_allowed")


# What stored events are held to


def found(ledger: MemoryLedger, *events: Any) -> list[str]:
    """What a check finds in these events as the next unit. They get the next versions."""
    versions: dict[str, int] = {}
    unit = []
    for event in events:
        stream = event.originator_id
        before = ledger.states.get(stream)
        versions[stream] = versions.get(stream, before.version if before else 0) + 1
        unit.append(replace(event, originator_version=versions[stream]))
    states = {event.originator_id: ledger.states.get(event.originator_id) for event in unit}
    policies = {CHART: ledger.states.get(CHART)}
    return [what for _, what in broken(states, unit, Decided(NOW, 1, "main", policies))]


NODE, OTHERS = node_stream("1000"), node_stream("2000")


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ((NodeAdded(CHART, 0, "9", "A@b", "asset", "debit", None, None),), "The title of a node"),
        ((NodeAdded(CHART, 0, "9", "Nine", "asset", "debit", "1000", None),), "must be the same"),
        ((NodeChanged(CHART, 0, "1000", "Customers", None),), "already is what it would be"),
        ((NodeChanged(CHART, 0, "1000", "Customers", ("fee", "deposit")),), "not in order"),
        ((NodeMoved(CHART, 0, "1000", None),), "already is what it would be"),
        ((AccountAttached("acct_b", 0, "1000", None),), "does not count it there"),
        ((AccountDetached("acct_a", 0, "1000"),), "leaves node 1000, and its unit does not count it"),
        ((AccountAttached("acct_a", 0, "2000", None), NodeAccountAdded(OTHERS, 0, "acct_a")), "is at node 1000, not"),
        ((AccountDetached("acct_b", 0, "1000"), NodeAccountRemoved(NODE, 0, "acct_b")), "is at node None, not"),
        (
            (AccountAttached("acct_a", 0, "1000", "1000"), NodeAccountRemoved(NODE, 0, "acct_a"),
             NodeAccountAdded(NODE, 0, "acct_a")),
            "is attached to node 1000 already",
        ),
        ((NodeAccountAdded(NODE, 0, "acct_b"),), "which its unit does not attach or detach"),
        ((NodeAccountRemoved(NODE, 0, "acct_a"),), "which its unit does not attach or detach"),
        (
            (AccountAttached("acct_b", 0, "9", None), NodeAccountAdded(node_stream("9"), 0, "acct_b")),
            "the chart has no node 9",
        ),
        ((NodeAccountRemoved(OTHERS, 0, "acct_a"),), "which has no account"),
    ],
)  # fmt: skip
def test_a_forged_event_is_found(events: tuple[Any, ...], what: str) -> None:
    ledger = ledger_with(A, B, ROOT, OTHER, AttachAccount("acct_a", "1000"))
    assert any(what in one for one in found(ledger, *events)), found(ledger, *events)


def test_a_forged_posting_of_a_kind_that_the_node_does_not_take_is_found() -> None:
    ledger = ledger_with(A, B, AddNode("1000", "Closed", "liability", kinds=("deposit",)))
    decision = ledger.decide(Transfer("txn_1", "acct_a", "acct_b", 1, "EUR", TODAY))
    assert isinstance(decision, Accepted)
    ledger.accepted(AttachAccount("acct_a", "1000"))
    [what] = found(ledger, *decision.events)
    assert what == "acct_a is attached to node 1000, which takes deposit; txn_1 is of another kind"
    ledger.accepted(ChangeNode("1000", "Closed", ("transfer",)))
    assert found(ledger, *decision.events) == []


def test_a_number_of_accounts_is_as_large_as_the_attachments() -> None:
    """In a random history, each node counts the accounts that know it."""
    ledger = MemoryLedger()
    list(history(ledger, Random(3), 1_500))
    nodes = [account.profile.node for account in ledger.of(Account)]
    counted = {stream.removeprefix("node:"): ledger[stream].count for stream in ledger._streams[NodeAccounts]}
    assert sum(counted.values()) == sum(node is not None for node in nodes) > 0
    assert all(counted[node] == nodes.count(node) for node in nodes if node is not None)
