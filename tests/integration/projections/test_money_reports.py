"""Reports equal what a fold of the events by hand says, at any position and for any period, on a random history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg import Connection

from api.accounts.reports import CLASSES, REPORTS, AskedOfReports, Reader, rate, size_class
from domain.accounts.account.events import AccountAttached, AccountDetached, AccountOpened, HoldPlaced
from domain.accounts.account.holds import of_transaction
from domain.accounts.chart.state import Chart
from domain.accounts.posting import Entry, TransactionPosted
from domain.accounts.transaction.events import (
    TransactionCancelled,
    TransactionExpired,
    TransactionPended,
    TransactionRejected,
)
from domain.money import EXPONENTS, show
from eventstore.log.read import read_head
from projections.accounts.holds import holds
from projections.accounts.reports.open_items import AGES, ChangedSinceError, open_items
from projections.accounts.reports.point import Point, point_at
from projections.accounts.reports.volume import PERCENTS
from projections.engine.projection import RecordedEvent
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life, posting, projector
from tests.integration.projections.test_pure_folds import recorded
from tests.support.postgres import Server

UNITS = 700
NOBODY = AskedOfReports(None, None, None, None, None, "day", 3)


@dataclass
class Story:
    """A folded random history, and its events."""

    connection: Connection[Any]
    filler: Filler
    log: list[RecordedEvent]

    def reader(self, position: int, **asked: Any) -> Reader:
        head = read_head(self.connection, LOG)
        return Reader(self.connection, head, point_at(self.connection, head, position), replace(NOBODY, **asked))

    def report(self, name: str, position: int, **asked: Any) -> Any:
        return REPORTS[name](self.reader(position, **asked))

    def until(self, position: int) -> list[RecordedEvent]:
        return [one for one in self.log if one.position <= position]

    def posted(self, position: int) -> list[tuple[datetime, TransactionPosted]]:
        """What was posted by a position, with its time."""
        return [(at_of(one), one.event) for one in self.until(position) if isinstance(one.event, TransactionPosted)]

    def positions(self) -> list[int]:
        """Some positions: the beginning, the end, and beside postings in between."""
        chance = Random(65)
        of_postings = [one.position for one in self.log if isinstance(one.event, TransactionPosted)]
        return [0, *sorted(chance.sample(of_postings, 4)), self.log[-1].position]

    def days(self) -> list[date]:
        return sorted({event.value_date for _, event in self.posted(self.log[-1].position)})


def at_of(one: RecordedEvent) -> datetime:
    return datetime.fromisoformat(one.recorded_at).astimezone(UTC)


def pended(id: str, day: date, entries: tuple[Entry, ...]) -> TransactionPended:
    return TransactionPended(id, 0, "transfer", day, entries, None, None, None, "request", None, None)


@pytest.fixture(scope="module")
def story(postgres18: Server) -> Iterator[Story]:
    """A life of the ledger, some hours between two units, with transfers and with transactions that wait."""
    chance = Random(65)
    with postgres18.database() as database, projector(database) as connection:
        filler = Filler(database)
        filler.begin()
        at = datetime(2024, 1, 1, 9, tzinfo=UTC)
        pair = [filler.opening(currency="EUR") for _ in range(2)]
        filler.write(*([one] for one in pair), at=at)
        ids, waiting = [one.originator_id for one in pair], list[tuple[str, tuple[Entry, ...]]]()
        for unit in a_life(filler, seed=65, units=UNITS):
            at += timedelta(minutes=chance.randint(0, 600))
            filler.write(unit, at=at)
            source, target = chance.sample(ids, 2)
            amount = chance.choice((1, 999, 1_000, 99_999, 100_000, chance.randint(1, 10**9)))
            entries = Entry(source, "debit", amount, "EUR"), Entry(target, "credit", amount, "EUR")
            day = at.date() + timedelta(days=chance.choice((0, 0, 0, -1, 1, -30)))
            filler.write(posting(filler.id("txn"), *entries, value_date=day), at=at)
            if chance.random() < 0.1:
                waiting.append((filler.id("txn"), entries))
                filler.write([pended(waiting[-1][0], day, entries)], at=at)
            if waiting and chance.random() < 0.1:
                id, reserved = waiting.pop(0)
                filler.write(posting(id, *reserved, value_date=day), at=at)
        entries = Entry(ids[0], "debit", 5, "EUR"), Entry(ids[1], "credit", 5, "EUR")
        last = [filler.id("txn") for _ in range(3)]
        filler.write(*([pended(id, at.date(), entries)] for id in last), at=at)
        filler.write(posting(last[0], *entries, value_date=at.date()), at=at)
        filler.write([TransactionCancelled(last[1], 0, None, None)], at=at)
        runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=50)
        runner.run_to_head()
        assert not runner.stopped
        yield Story(connection, filler, recorded(connection, filler))
        filler.close()


def test_the_story_has_what_reports_must_tell_apart(story: Story) -> None:
    kinds = {type(one.event) for one in story.log}
    assert {TransactionPended, TransactionCancelled, HoldPlaced, AccountAttached} <= kinds
    end = story.log[-1].position
    booked = story.posted(end)
    assert any(event.originator_version > 1 for _, event in booked), "posted later"
    assert {at.date() == event.value_date for at, event in booked} == {True, False}
    assert {"year_end", "reversal"} <= {event.kind for _, event in booked}
    assert len({entry.currency for _, event in booked for entry in event.entries}) > 1


Sums = dict[tuple[str | None, str], list[int]]


def by_hand(
    story: Story, position: int, since: date, until: date, currency: str | None = None, *, year_ends: bool = True
) -> tuple[Sums, Sums]:
    """Debits, credits and entries by node and by type of account, of what was booked by a position."""
    nodes: dict[str, str | None] = {}
    types: dict[str, str] = {}
    for one in story.log:  # an account counts where it is attached now
        match one.event:
            case AccountOpened():
                types[one.event.originator_id] = one.event.type
            case AccountAttached():
                nodes[one.event.originator_id] = one.event.node
            case AccountDetached():
                nodes[one.event.originator_id] = None
    closing = {event.originator_id for _, event in story.posted(position) if event.kind == "year_end"}
    closing |= {one for one, parent in parents(story).items() if parent in closing}
    of_nodes: Sums = defaultdict(lambda: [0, 0, 0])
    of_types: Sums = defaultdict(lambda: [0, 0, 0])
    for _, event in story.posted(position):
        if not since <= event.value_date <= until or (not year_ends and event.originator_id in closing):
            continue
        for entry in event.entries:
            if currency in (None, entry.currency):
                for sums in (
                    of_nodes[nodes.get(entry.account), entry.currency],
                    of_types[types[entry.account], entry.currency],
                ):
                    sums[entry.side == "credit"] += entry.amount
                    sums[2] += 1
    return of_nodes, of_types


def parents(story: Story) -> dict[str, str | None]:
    return {
        one.event.originator_id: one.event.parent
        for one in story.log
        if type(one.event).__name__ == "TransactionDetailed" and one.event.relation == "reversal"
    }


def total_of(chart: Chart, of_nodes: Sums) -> Sums:
    """The sums of each node with all below it."""
    totals: Sums = defaultdict(lambda: [0, 0, 0])
    for (node, currency), sums in of_nodes.items():
        for above in chart.lineage(node) if node is not None else ():
            for place in range(3):
                totals[above.code, currency][place] += sums[place]
    return totals


@pytest.mark.parametrize("currency", [None, "EUR"])
def test_the_trial_balance_is_that_of_its_position(story: Story, currency: str | None) -> None:
    for position in story.positions():
        _, of_types = by_hand(story, position, date.min, date.max, currency)
        found = story.report("trial-balance", position, currency=currency)
        assert {(one["type"], one["currency"]): (one["debits"], one["credits"], one["entries"]) for one in found} == {
            key: (show(debits, key[1]), show(credits, key[1]), entries)
            for key, (debits, credits, entries) in of_types.items()
        }


def test_movements_by_node_have_the_value_dates_of_the_period(story: Story) -> None:
    [chart] = story.filler.ledger.of(Chart)
    days = story.days()
    for position in story.positions():
        for since, until in ((days[0], days[-1]), (days[2], days[len(days) // 2]), (days[1], days[1])):
            of_nodes, _ = by_hand(story, position, since, until)
            totals = total_of(chart, of_nodes)
            found = story.report("movements", position, since=since, until=until)
            keys = {*totals, *(key for key in of_nodes if key[0] is None)}
            assert {(one["node"], one["currency"]) for one in found} == keys
            for one in found:
                key = one["node"], one["currency"]
                own = of_nodes.get(key, [0, 0, 0])
                whole = own if key[0] is None else totals[key]
                assert [one["debits"], one["credits"], one["entries"]] == [
                    show(own[0], key[1]),
                    show(own[1], key[1]),
                    own[2],
                ]
                assert [one["total_debits"], one["total_credits"], one["total_entries"]] == [
                    show(whole[0], key[1]), show(whole[1], key[1]), whole[2]
                ]  # fmt: skip


def balances(chart: Chart, of_nodes: Sums, types: tuple[str, ...]) -> dict[tuple[Any, str], tuple[str, str]]:
    """Own and total balance of the nodes of these types, on the normal side."""
    found = {}
    for (code, currency), sums in total_of(chart, of_nodes).items():
        node = chart.find(str(code))
        assert node is not None
        sign = 1 if node.side == "credit" else -1
        own = of_nodes.get((code, currency), [0, 0, 0])
        if node.type in types:
            found[code, currency] = show(sign * (own[1] - own[0]), currency), show(sign * (sums[1] - sums[0]), currency)
    return found


def test_a_balance_sheet_is_of_a_value_date_and_balances(story: Story) -> None:
    [chart] = story.filler.ledger.of(Chart)
    days = story.days()
    types = ("asset", "liability", "equity")
    for position in story.positions():
        for until, compared in ((days[-1], days[3]), (days[len(days) // 2], days[0])):
            sheet = story.report("balance-sheet", position, until=until, compare_until=compared)
            now = balances(chart, by_hand(story, position, date.min, until)[0], types)
            then = balances(chart, by_hand(story, position, date.min, compared)[0], types)
            lines = {(one["node"], one["currency"]): one for one in sheet["lines"]}
            assert lines.keys() == now.keys() | then.keys()
            for key, one in lines.items():
                nothing = show(0, key[1])
                assert (one["own"], one["total"]) == now.get(key, (nothing, nothing))
                assert (one["compared_own"], one["compared_total"]) == then.get(key, (nothing, nothing))
            for totals in (*sheet["totals"], *sheet["compared_totals"]):
                assert minor(totals, "assets") == sum(
                    minor(totals, name) for name in ("liabilities", "equity", "result", "unattached")
                )


def minor(totals: dict[str, Any], name: str) -> int:
    return int(totals[name].replace(".", ""))


def test_an_income_statement_leaves_out_the_year_ends(story: Story) -> None:
    [chart] = story.filler.ledger.of(Chart)
    days = story.days()
    of_year_ends = 0
    for position in story.positions():
        for since, until in ((days[0], days[-1]), (days[2], days[len(days) // 2])):
            period = {"since": since, "until": until, "compare_since": days[0], "compare_until": days[4]}
            found = story.report("income-statement", position, **period)
            own, _ = by_hand(story, position, since, until, year_ends=False)
            of_year_ends += own != by_hand(story, position, since, until)[0]
            now = balances(chart, own, ("income", "expense"))
            then = balances(
                chart, by_hand(story, position, days[0], days[4], year_ends=False)[0], ("income", "expense")
            )
            lines = {(one["node"], one["currency"]): one for one in found["lines"]}
            assert lines.keys() == now.keys() | then.keys()
            for key, one in lines.items():
                nothing = show(0, key[1])
                assert (one["own"], one["total"]) == now.get(key, (nothing, nothing))
                assert (one["compared_own"], one["compared_total"]) == then.get(key, (nothing, nothing))
            for totals in found["totals"]:
                assert minor(totals, "result") == minor(totals, "income") - minor(totals, "expenses")
    assert of_year_ends


def sizes_by_hand(
    story: Story, position: int, since: date, until: date, currency: str | None
) -> list[tuple[datetime, str, int, TransactionPosted]]:
    """Time, currency, size and transaction of what was recorded on these days."""
    found = []
    for at, event in story.posted(position):
        sums: dict[str, int] = defaultdict(int)
        for entry in event.entries:
            sums[entry.currency] += entry.amount if entry.side == "debit" else 0
        found += [
            (at, one, size, event)
            for one, size in sums.items()
            if currency in (None, one) and since <= at.date() <= until
        ]
    return found


def grouped(keys: list[tuple[Any, ...]], sizes: list[int]) -> dict[tuple[Any, ...], tuple[int, int]]:
    found: dict[tuple[Any, ...], tuple[int, int]] = {}
    for key, size in zip(keys, sizes, strict=True):
        count, total = found.get(key, (0, 0))
        found[key] = count + 1, total + size
    return found


@pytest.mark.parametrize("currency", [None, "EUR"])
def test_volumes_are_those_of_the_days_of_recording(story: Story, currency: str | None) -> None:
    recorded_on = sorted({at.date() for at, _ in story.posted(story.log[-1].position)})
    for position in story.positions():
        for since, until in (
            (date(2023, 1, 1), date(2023, 12, 31)),
            (recorded_on[0], recorded_on[9]),
            (recorded_on[3], recorded_on[3]),
            (recorded_on[0], recorded_on[-1]),
        ):
            asked = {"since": since, "until": until, "currency": currency}
            ones = sizes_by_hand(story, position, since, until, currency)
            sizes = [size for _, _, size, _ in ones]

            def read(name: str, keys: list[tuple[Any, ...]], *names: str, **more: Any) -> None:
                found = story.report(name, position, **asked, **more)  # noqa: B023
                assert {tuple(one[key] for key in names): (one["count"], one["total"]) for one in found} == {
                    key: (count, show(total, key[0]))
                    for key, (count, total) in grouped(keys, sizes).items()  # noqa: B023
                }

            read("sizes", [(of,) for _, of, _, _ in ones], "currency")
            read("hours", [(of, at.isoweekday(), at.hour) for at, of, _, _ in ones], "currency", "weekday", "hour")
            read("trend", [(of, at.date()) for at, of, _, _ in ones], "currency", "first_day", every="day")
            weeks = [(of, at.date() - timedelta(days=at.weekday())) for at, of, _, _ in ones]
            read("trend", weeks, "currency", "first_day", every="week")
            read(
                "trend",
                [(of, at.date().replace(day=1)) for at, of, _, _ in ones],
                "currency",
                "first_day",
                every="month",
            )
            classes = []
            for _, of, size, _ in ones:
                bounds = [0, *(bound * 10 ** EXPONENTS[of] for bound in CLASSES)]
                classes.append((of, show(max(bound for bound in bounds if bound <= size), of)))
            read("size-classes", classes, "currency", "at_least")
            _check_percentiles(story, position, asked, ones)
            _check_top(story, position, asked, ones)


def _check_percentiles(story: Story, position: int, asked: Any, ones: list[Any]) -> None:
    for one in story.report("sizes", position, **asked):
        of = one["currency"]
        sizes = sorted(size for _, currency, size, _ in ones if currency == of)
        for percent in PERCENTS:  # the least size that so many percent of all do not exceed
            nearest = next(size for number, size in enumerate(sizes, 1) if number * 100 >= percent * len(sizes))
            assert one["percentiles"][str(percent)] == show(nearest, of)
        assert (one["least"], one["most"]) == (show(sizes[0], of), show(sizes[-1], of))


def _check_top(story: Story, position: int, asked: Any, ones: list[Any]) -> None:
    turnover: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for event in {event.originator_id: event for *_, event in ones}.values():
        for entry in event.entries:
            if asked["currency"] in (None, entry.currency):
                sums = turnover[entry.currency, entry.account]
                sums[entry.side == "credit"] += entry.amount
                sums[2] += 1
    expected = []
    for of in sorted({currency for currency, _ in turnover}):
        ranked = sorted(
            (-sums[0] - sums[1], account, sums) for (currency, account), sums in turnover.items() if currency == of
        )
        expected += [
            (of, rank, account, show(debits, of), show(credits, of), entries)
            for rank, (_, account, (debits, credits, entries)) in enumerate(ranked[:3], 1)
        ]
    found = story.report("top-accounts", position, **asked)
    names = ("currency", "rank", "account", "debits", "credits", "entries")
    assert [tuple(one[name] for name in names) for one in found] == expected


def test_open_items_by_age(story: Story) -> None:
    """Also at the positions after the last change of a hold, when some transactions waited that have ended since."""
    end = story.log[-1].position
    counts = set()
    for position in range(end - 6, end + 1):
        point = point_at(story.connection, read_head(story.connection, LOG), position)
        expected = waiting_by_hand(story, point)
        for hold in holds(story.connection, status="open", limit=1_000).items:
            if not of_transaction(hold.hold):
                expected.append((hold.currency, "hold", hold.placed_at, hold.remaining))
        assert {what for _, what, _, _ in expected} == {"transaction", "hold"}
        keys = [
            (of, what, max(age for age in AGES if since <= point.at - timedelta(days=age)))
            for of, what, since, _ in expected
        ]
        items = open_items(story.connection, point)
        found = {(one.currency, one.what, one.age): (one.count, one.total) for one in items}
        assert found == grouped(keys, [amount for *_, amount in expected])
        counts.add(len(expected))
    assert len(counts) > 1


def waiting_by_hand(story: Story, point: Point) -> list[tuple[str, str, datetime, int]]:
    """Currency, what, beginning and amount of each transaction that waits at a point."""
    waiting: dict[str, tuple[datetime, TransactionPended]] = {}
    for one in story.until(point.position):
        if isinstance(one.event, TransactionPended):
            waiting[one.event.originator_id] = at_of(one), one.event
        elif isinstance(one.event, TransactionPosted | TransactionCancelled | TransactionRejected | TransactionExpired):
            waiting.pop(one.event.originator_id, None)
    found = []
    for since, event in waiting.values():
        sums: dict[str, int] = defaultdict(int)
        for entry in event.entries:
            sums[entry.currency] += entry.amount if entry.side == "debit" else 0
        found += [(of, "transaction", since, total) for of, total in sums.items()]
    return found


def test_open_holds_of_an_earlier_position_are_not_known(story: Story) -> None:
    early = next(one.position for one in story.log if isinstance(one.event, HoldPlaced)) - 1
    point = point_at(story.connection, read_head(story.connection, LOG), early)
    with pytest.raises(ChangedSinceError):
        open_items(story.connection, point)


def test_rates_and_classes() -> None:
    assert [rate(*one) for one in ((0, 7), (2, 3), (7, 7), (9_999, 10_000), (99_999, 100_000))] == [
        "0.0000", "0.6666", "1.0000", "0.9999", "0.9999"
    ]  # fmt: skip
    assert [size_class(len(str(size)), "EUR") for size in (1, 999, 1_000, 9_999_999, 10_000_000)] == [0, 0, 1, 4, 5]
    assert [size_class(len(str(size)), "JPY") for size in (9, 10, 99_999, 100_000)] == [0, 1, 4, 5]
