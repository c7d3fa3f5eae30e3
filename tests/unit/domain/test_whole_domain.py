"""The domain as a whole: closed catalogues, rules that explain, random histories, and the library driving it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

import domain
from domain import registry
from domain.accounts.account.lifecycle import OnOneAccount
from domain.accounts.posting import internal_account
from domain.accounts.transaction import Deposit
from domain.accounts.transaction.conditions import Conditioned, Posting
from domain.accounts.transaction.pending import OnePending
from domain.kernel import ERASED, UNREADABLE, Command, Event, NeedsStreams
from domain.processes.process import CarryOut
from domain.refusals import CommandRefused
from domain.registry import CATALOGUE, COMMUTING, check_commuting
from domain.subjects import SubjectErased
from domain.together import Together
from eventstore.keys.sealing import Sealer
from eventstore.log.codec import Codec
from tests.samples.registry import check_history, history
from tests.support.keys import Keys
from tests.support.memory_ledger import TODAY, MemoryLedger, new_id, opening

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
    no_commands = {Command, NeedsStreams, OnOneAccount, OnePending, Together, CarryOut, Conditioned, Posting}
    assert {c for c in classes() if hasattr(c, "streams")} - no_commands == set(registry.commands())


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_what_must_be_true_of_every_history(seed: int) -> None:
    """The ledger proves each unit as it happens, and the whole history at the end."""
    ledger = MemoryLedger()
    units = list(history(ledger, Random(seed), 80))
    accepted = [unit for unit in units if not isinstance(unit[-1], CommandRefused | SubjectErased)]
    assert len(accepted) == 80
    check_history(ledger)


def test_a_history_is_that_of_its_seed_whatever_ids_were_made_before() -> None:
    """The tests that ask what happens in the history of a seed ran in another order, and found something else."""

    def happened() -> list[tuple[type, str]]:
        """The events, and their streams but for claims of account numbers, which no decision depends on."""
        units = history(MemoryLedger(), Random(1), 400)
        return [(type(event), event.originator_id.partition(":")[0]) for unit in units for event in unit]

    first = happened()
    for _ in range(1_500):  # more than the samples have accounts that nobody has
        new_id("acct")
    assert happened() == first


@pytest.mark.parametrize("gone", [ERASED, UNREADABLE], ids=str)
def test_every_history_folds_without_its_personal_values(gone: Any) -> None:
    """Once a person's key was erased or damaged, their texts are gone. Money and addresses stay what they were."""
    ledger = MemoryLedger()
    list(history(ledger, Random(1), 1_000))
    personal = {entry.event: entry.personal for entry in CATALOGUE}
    folded: dict[str, Any] = {}
    for event in ledger.log:
        blank = replace(event, **{n: gone for n in personal[type(event)] if getattr(event, n) is not None})
        folded[event.originator_id] = registry.evolve(folded.get(event.originator_id), blank)
    assert folded.keys() == ledger.states.keys()
    for stream, state in folded.items():
        assert _without(state, gone) == _without(ledger[stream], gone, like=state)
        if state != ledger[stream] and not stream.startswith(registry.WRITTEN_ONCE):
            assert stream.startswith(registry.PERSONAL_STATES), "an executor would keep the text of an erased person"


def _without(state: Any, gone: Any, like: Any = None) -> list[Any]:
    """The values of a state and of the events in it, but those that are gone in `like`, which is the state itself."""
    like = state if like is None else like
    if not isinstance(state, Struct):
        return [] if like is gone else [state]
    names = state.__struct_fields__
    return [value for name in names for value in _without(getattr(state, name), gone, getattr(like, name))]


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
