"""The domain as a whole: closed catalogues, rules that explain, random histories, and the library driving it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from typing import Any

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from msgspec.structs import replace

import domain
from domain import registry
from domain.accounts.account.holds import PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, OnOneAccount, UnfreezeAccount
from domain.accounts.posting import Entry, internal_account
from domain.accounts.transaction import CaptureHold, ChargeFee, Deposit, PostTransaction, Withdraw
from domain.claims import Claim
from domain.kernel import ERASED, UNREADABLE, Command, Event, NeedsStreams, Unknown
from domain.orders.order import CancelOrder, ConfirmOrder, OrderLine, PayOrder, PlaceOrder
from domain.posts.post import ArchivePost, DeletePost, DraftPost, Post, PublishPost, RestorePost, RevisePost, slug_claim
from domain.registry import CATALOGUE, COMMUTING, check_commuting
from domain.together import Together
from eventstore.keys.sealing import Sealer
from eventstore.log.codec import Codec
from tests.support.keys import Keys
from tests.unit.domain.memory import TODAY, MemoryLedger, new_id, opening, transfer

CASH = internal_account("main", "cash", "EUR")
BANKS = {currency: internal_account("main", "banks", currency) for currency in ("EUR", "USD")}


def modules() -> list[Any]:
    return [importlib.import_module(m.name) for m in pkgutil.walk_packages(domain.__path__, "domain.")]


def classes() -> set[type]:
    return {
        found
        for module in modules()
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__ and not found.__name__.startswith("_")
    }


def test_every_event_is_in_the_catalogue_and_folds() -> None:
    events = {c for c in classes() if issubclass(c, Event) and c is not Event}
    assert events == {entry.event for entry in CATALOGUE if entry.event is not None} == set(registry._EVOLVE)
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    assert set(COMMUTING) <= {entry.name for entry in CATALOGUE}


def test_every_command_has_a_decision() -> None:
    no_commands = {Command, NeedsStreams, OnOneAccount, Together}
    assert {c for c in classes() if hasattr(c, "streams")} - no_commands == set(registry.commands())


class Histories(RuleBasedStateMachine):
    """Random commands. The ledger proves each unit as it happens, and the whole history at the end."""

    accounts = Bundle("accounts")
    orders = Bundle("orders")
    holds = Bundle("holds")

    @initialize(target=accounts)
    def start(self) -> Any:
        self.ledger = MemoryLedger()
        self.ledger.open_internal()
        self.ledger.open_internal("USD")
        return multiple(
            self.ledger.account(500),
            self.ledger.account(500, minimum=100, maximum=1_000),
            self.ledger.account(500, currency="USD"),
        )

    def run(self, command: Any) -> None:
        assert not isinstance(self.ledger.execute(command), Unknown)

    @rule(target=accounts, minimum=st.sampled_from([None, 0, 50]), maximum=st.sampled_from([None, 800]))
    def opens(self, minimum: int | None, maximum: int | None) -> Any:
        command = opening(minimum=minimum, maximum=maximum)
        self.run(command)
        return command.account

    @rule(account=accounts, amount=st.integers(1, 600), kind=st.sampled_from([Deposit, Withdraw, ChargeFee]))
    def moves(self, account: str, amount: int, kind: Any) -> None:
        self.run(kind(new_id("txn"), account, amount, self.ledger[account].profile.currency, TODAY))

    @rule(source=accounts, to=accounts, amount=st.integers(1, 600))
    def transfers(self, source: str, to: str, amount: int) -> None:
        self.run(transfer(source, to, amount, self.ledger[source].profile.currency))

    @rule(a=accounts, b=accounts, c=accounts, x=st.integers(1, 300), y=st.integers(1, 300))
    def posts(self, a: str, b: str, c: str, x: int, y: int) -> None:
        entries = (Entry(a, "debit", x + y, "EUR"), Entry(b, "credit", x, "EUR"), Entry(c, "credit", y, "EUR"))
        self.run(PostTransaction(new_id("txn"), "journal", entries, TODAY))

    @rule(a=accounts, dollars=accounts, x=st.integers(1, 300), y=st.integers(1, 300))
    def exchanges(self, a: str, dollars: str, x: int, y: int) -> None:
        entries = (
            Entry(a, "debit", x, "EUR"), Entry(BANKS["EUR"], "credit", x, "EUR"),
            Entry(BANKS["USD"], "debit", y, "USD"), Entry(dollars, "credit", y, "USD"),
        )  # fmt: skip
        self.run(PostTransaction(new_id("txn"), "journal", entries, TODAY))

    @rule(account=accounts, command=st.sampled_from([FreezeAccount, UnfreezeAccount, CloseAccount]))
    def changes(self, account: str, command: Any) -> None:
        self.run(command(account, "because"))

    @rule(target=holds, account=accounts, amount=st.integers(1, 400))
    def holds_back(self, account: str, amount: int) -> Any:
        hold = new_id("hold")
        self.run(PlaceHold(account, hold, amount, self.ledger[account].profile.currency))
        return (account, hold)

    @rule(hold=holds, to=accounts, amount=st.integers(1, 400), captured=st.booleans())
    def ends_hold(self, hold: tuple[str, str], to: str, amount: int, captured: bool) -> None:
        account, id = hold
        if captured:
            self.run(CaptureHold(account, id, new_id("txn"), to, amount, self.ledger[to].profile.currency, TODAY))
        else:
            self.run(ReleaseHold(account, id))

    @rule(target=orders, quantity=st.integers(1, 9), price=st.integers(1, 99))
    def places(self, quantity: int, price: int) -> Any:
        order = new_id("ord")
        self.run(PlaceOrder(order, "customer-1", "EUR", (OrderLine("sku", "thing", quantity, price),), None))
        return order

    @rule(order=orders, account=accounts, verb=st.sampled_from(["confirm", "confirm", "pay", "pay", "cancel"]))
    def handles(self, order: str, account: str, verb: str) -> None:
        if verb == "pay":
            self.run(PayOrder(order, account, new_id("txn"), TODAY))
        else:
            self.run(ConfirmOrder(order) if verb == "confirm" else CancelOrder(order, "because"))

    def teardown(self) -> None:
        self.ledger.check()


class Publishing(RuleBasedStateMachine):
    """Random lives of a few posts that want the same few slugs: an address means one post, or nothing."""

    POSTS = ("post_1", "post_2", "post_3")

    @initialize()
    def start(self) -> None:
        self.ledger = MemoryLedger()
        for post in self.POSTS:
            self.ledger.accepted(DraftPost(post, "author-1", "Title", "Body"))

    @rule(post=st.sampled_from(POSTS), slug=st.sampled_from(["a", "b", "c", "d"]))
    def publishes(self, post: str, slug: str) -> None:
        self.ledger.execute(PublishPost(post, slug))

    @rule(post=st.sampled_from(POSTS), kind=st.sampled_from([ArchivePost, RestorePost]))
    def changes(self, post: str, kind: Any) -> None:
        self.ledger.execute(kind(post))

    @rule(post=st.sampled_from(POSTS))
    def deletes(self, post: str) -> None:
        self.ledger.execute(DeletePost(post, "because"))

    @rule(post=st.sampled_from(POSTS), title=st.sampled_from(["Title", "Another"]))
    def revises(self, post: str, title: str) -> None:
        self.ledger.execute(RevisePost(post, title, "Body"))

    @invariant()
    def every_slug_has_the_holder_that_shows_it(self) -> None:
        if hasattr(self, "ledger"):
            states = self.ledger.states.values()
            held = {state.id: state.holder for state in states if isinstance(state, Claim) and state.holder}
            shown = {slug_claim(state.slug): state.id for state in states if isinstance(state, Post) and state.slug}
            assert held == shown

    def teardown(self) -> None:
        self.ledger.check()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=30)
TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(max_examples=20, stateful_step_count=25)


@pytest.mark.parametrize("gone", [ERASED, UNREADABLE], ids=str)
def test_every_history_folds_without_its_personal_values(gone: Any) -> None:
    """Once a person's key was erased or damaged, their texts are gone. Money and addresses stay what they were."""
    ledger = MemoryLedger()
    ledger.open_internal()
    account, post = ledger.account(100), new_id("post")
    for command in (
        FreezeAccount(account, "court order"),
        UnfreezeAccount(account, "lifted"),
        DraftPost(post, "author-1", "Title", "Body"),
        RevisePost(post, "Title", "More", "longer"),
        PublishPost(post, "title"),
        DeletePost(post, "tired of it"),
    ):
        ledger.accepted(command)
    personal = {entry.event: entry.personal for entry in CATALOGUE}
    folded: dict[str, Any] = {}
    for event in ledger.log:
        blank = replace(event, **{n: gone for n in personal[type(event)] if getattr(event, n) is not None})
        folded[event.originator_id] = registry.evolve(folded.get(event.originator_id), blank)
    assert folded.pop(post) == replace(ledger[post], title=gone, body=gone)
    assert folded == {stream: state for stream, state in ledger.states.items() if stream != post}


class _CodecMapper(Mapper[str]):
    """The library's mapper, with our codec in place of its transcoder: slots have no `vars`."""

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())
        self._codec = Codec(CATALOGUE, Sealer(Keys(), bytes(32)), ERASED, UNREADABLE)

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        (name,), (payload,) = self._codec.encode_all([domain_event])
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, name, payload)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        stream = str(stored_event.originator_id)
        return self._codec.decode(stored_event.topic, stored_event.state, stream, stored_event.originator_version)


class _Books(Application[str]):
    def construct_mapper(self) -> Mapper[str]:
        return _CodecMapper()


def test_the_library_can_drive_the_domain() -> None:
    """The `eventsourcing` library's own Application saves our events and folds them with our functions, as they are."""

    def fold(state: Any, events: Iterable[Any]) -> Any:
        for event in events:
            state = registry.evolve(state, event)
        return state

    books = _Books(env={"PERSISTENCE_MODULE": "eventsourcing.popo"})
    memory = MemoryLedger()
    opened = opening(minimum=7)
    for command in (opening("cash", account=CASH, minimum=None), opened):
        books.save(*memory.accepted(command).events)
    books.save(*memory.accepted(Deposit(new_id("txn"), opened.account, 1_000, "EUR", TODAY)).events)
    account: Any = books.repository.get(opened.account, projector_func=fold)
    assert account == memory[opened.account]
    assert (account.version, account.balance, account.profile.minimum) == (2, 1_000, 7)
    cash: Any = books.repository.get(CASH, projector_func=fold)
    assert cash.balance == -1_000


def test_a_commuting_event_with_personal_fields_is_an_error_at_import() -> None:
    check_commuting(CATALOGUE, COMMUTING)
    for entry in CATALOGUE:
        if entry.personal:
            with pytest.raises(ValueError, match=f"{entry.name} commutes, so it can have no personal fields"):
                check_commuting(CATALOGUE, (*COMMUTING, entry.name))
    with pytest.raises(ValueError, match="is not in the catalogue"):
        check_commuting(CATALOGUE, ("account.dreamt.v1",))
    source = inspect.getsource(registry)
    changed = source.replace(
        "    account.AGGREGATE,", '    replace(account.AGGREGATE, commuting=("account.frozen.v1",)),'
    )
    assert changed != source
    with pytest.raises(ValueError, match=r"account\.frozen\.v1 commutes"):
        exec(changed, {"__name__": "mistaken", "replace": replace})  # noqa: S102
