"""The folds alone: results for recorded events, without tables."""

from __future__ import annotations

from datetime import date

import pytest

from domain.accounts.account.events import (
    AccountDebited,
)
from domain.kernel import ERASED, UNREADABLE, Event
from domain.orders.order import OrderCancelled, OrderConfirmed, OrderPlaced, PlacedLine
from domain.posts.post import PostArchived, PostDeleted, PostDrafted, PostPublished, PostRestored, PostRevised
from domain.registry import CATALOGUE
from eventstore.keys.sealing import Sealer
from eventstore.log.codec import Codec
from projections.engine.declared import Page
from projections.engine.projection import FoldCache, FoldError, Projection
from projections.engine.rows import copy_text, erasable
from projections.engine.writing import SMALL
from projections.orders import orders
from projections.posts import posts
from projections.processes.processes import PROCESSES
from projections.registry import PROJECTIONS
from tests.samples import store
from tests.samples.registry import EVENTS
from tests.support.recorded_events import recorded

DAY, NEXT_DAY = date(2024, 1, 2), date(2024, 1, 3)


def folded(projection: Projection, *events: Event) -> Page:
    page: Page = projection.fold(recorded(*events))
    return page


def test_an_order_that_begins_in_a_page_is_one_line() -> None:
    placed = OrderPlaced("o", 1, "ada", "EUR", (PlacedLine("sku", 2, 5),), ("a\tb",), 10, None, {"channel": "web"})
    page = folded(orders.ORDERS, placed, OrderConfirmed("o", 2), OrderCancelled("o", 3, "ada", "why"))
    [line] = page.begun
    row = dict(zip(orders.TABLE.columns.keys(), line.split("\t"), strict=True))
    assert (
        row.items() >= {"order": "o", "customer": "ada", "status": "cancelled", "total": "10", "reason": "why"}.items()
    )
    assert row.items() >= {"reference": "\\N", "reason_erased": "f", "transaction": "\\N", "version": "3"}.items()
    assert [row[name] for name in ("position", "placed_at", "last_position", "last_at")] == ["1", "t1", "3", "t3"]
    assert page.details == [["o\t1\tsku\ta\\tb\t2\t5\t\\N"]]
    assert page.updates == []


def test_columns_that_a_page_does_not_set_are_unchanged() -> None:
    """A row that began earlier is not loaded. Only the columns that the functions set are written."""
    page = folded(
        posts.POSTS,
        PostRevised("p", 2, "ada", 2, "T", "B", None),
        PostPublished("p", 3, "slug"),
        PostDeleted("q", 4, "ada", "spam"),
        PostRestored("q", 5),
        PostDrafted("r", 1, "ada", ERASED, ERASED),
    )
    [update] = page.updates
    always = {"last_at", "last_position", "version"}
    texts = {"title", "body", "revision", "text_erased", "status", "slug", "published_at"}
    deletion = {"deleted", "reason", "reason_erased"}
    schedule = {"publish_at", "scheduled_slug"}
    assert update.keys == ("p", "q")
    assert set(update.names) == always | texts | deletion | schedule
    assert set(update.partial) == texts | deletion, "which the one row sets, and the other keeps"
    assert page.details == [["p\t2\tT\tB\t\\N\tf\t1\tt1\t\\N", "r\t1\t\\N\t\\N\t\\N\tt\t5\tt5\t\\N"]]


def test_many_rows_that_set_the_same_columns_have_a_statement_of_their_own() -> None:
    many = [PostPublished(f"p{n:04}", 2, "slug") for n in range(SMALL)]
    page = folded(posts.POSTS, *many, PostDeleted("q", 4, "ada", "spam"), PostArchived("r", 5))
    alone, together = page.updates
    assert (len(alone.keys), alone.partial) == (SMALL, ())
    deletion = {"deleted", "reason", "reason_erased", "publish_at", "scheduled_slug"}
    assert (together.keys, set(together.partial)) == (("q", "r"), {"status"} | deletion)


def test_a_row_begins_once_and_first() -> None:
    placed = OrderPlaced("o", 1, "ada", "EUR", (), (), 0, None, {})
    for events in ((placed, placed), (OrderConfirmed("o", 1), placed)):
        with pytest.raises(FoldError, match="o has events before its OrderPlaced"):
            folded(orders.ORDERS, *events)
    with pytest.raises(FoldError, match="o was never begun, and OrderConfirmed changes it"):
        orders.FOLD.rows(recorded(OrderConfirmed("o", 1)))


def test_functions_change_neither_row_nor_event() -> None:
    before = orders.FOLD.rows(recorded(OrderPlaced("o", 1, "ada", "EUR", (), (), 0, None, {})))["o"]
    as_it_was = dict(before)
    after = orders.cancelled(before, OrderCancelled("o", 2, "ada", "why"))
    assert (before, after["status"]) == (as_it_was, "cancelled")


def test_a_foreign_event_belongs_to_no_projection() -> None:
    for projection in (orders.ORDERS, posts.POSTS):
        with pytest.raises(FoldError, match="AccountDebited is none of its events"):
            projection.fold(recorded(AccountDebited("a", 1, "txn", 1, 1, "EUR", DAY)))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (None, "\\N"),
        ("", ""),
        ("plain ü €", "plain ü €"),
        ("\\N", "\\\\N"),
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\\.", "\\\\."),
        ("\u2028", "\u2028"),
    ],
)
def test_text_for_copy(text: str | None, written: str) -> None:
    assert copy_text(text) == written


def test_an_erased_value_is_null() -> None:
    assert erasable("text") == ("text", False)
    assert erasable(None) == (None, False)
    assert erasable(ERASED) == (None, True)


def test_an_unreadable_value_is_marked_and_not_erased() -> None:
    assert erasable(UNREADABLE) == ("[unreadable]", False)


def test_a_fold_cache_is_bounded() -> None:
    memory = FoldCache({str(n): n for n in range(FoldCache.MOST)})
    memory.bound()
    assert len(memory) == FoldCache.MOST
    memory["one more"] = 1
    memory.bound()
    assert not memory


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_a_projection_folds_every_version_of_its_events(projection: Projection) -> None:
    """Each stored sample, alone and with all others of its stream."""
    codec = Codec(CATALOGUE, Sealer(store.keys(), store.MASTER_KEY), ERASED, UNREADABLE)
    events = [codec.decode(one.type, one.payload.encode(), one.stream, one.version) for one in EVENTS]
    own = [event for event in events if isinstance(event, projection.events)]
    assert {type(event) for event in own} == set(projection.events)
    for event in own:
        assert projection.fold(recorded(event)) or projection is PROCESSES, "an event may concern no process"


WITHOUT_TABLE = (
    "TransactionCounted",
    "AdministratorAppointed",
    "AdministratorRemoved",
    "SignInPolicyChanged",
    "ChartCreated",
    "LinesMatched",
    "LinesUnmatched",
)
"""Who is an administrator is among the roles of the person. A chart that was created has no nodes. A match
has the lines that are matched."""
PRIVACY = (
    "LegalHoldPlaced",
    "LegalHoldLifted",
    "ErasureApproved",
    "ErasureBegun",
    "PersonErased",
    "ExportApproved",
    "PersonExported",
)
"""A record of privacy is read from its stream. Requests are among the approvals."""


def test_every_event_is_folded_or_belongs_to_no_table() -> None:
    """A new event that no projection folds must be listed here."""
    folded_somewhere = {event for projection in PROJECTIONS for event in projection.read_events}
    left_out = {entry.event.__name__ for entry in CATALOGUE if entry.event not in {None, *folded_somewhere}}  # type: ignore[union-attr]
    assert left_out == {
        "AccountCredited",
        "AccountDebited",
        "BatchSubmitted",  # what became of a batch is read from the log
        "ClaimTaken",
        "ClaimReleased",
        "PeriodsCreated",
        *WITHOUT_TABLE,
        *PRIVACY,
    }
