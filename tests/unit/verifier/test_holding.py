"""The verifier accepts what an honest log gives out, whatever is in it, and no change that says something else."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any, Final

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.log.leaf import microseconds
from tests.support.bundles import (
    NEW_SIGNER,
    NEW_TRUSTED,
    NOW,
    SIGNER,
    TRUSTED,
    TRUSTED_WITNESS,
    Bundles,
    Heads,
    Ledger,
    Line,
    encode,
    small_ledger,
    statement_of,
    verified,
    verified_bytes,
)
from workers import daybook_verify
from workers.daybook_verify import (
    CHECKED_OF_LINE,
    CHECKED_OF_STATEMENT,
    SeenAt,
    Sorted,
    Trust,
    Verification,
    show_money,
    verify,
)

ACCOUNTS: Final = ("acct_a", "acct_b", "acct_c")
DAYS: Final = ("2026-11-28", "2026-11-30", "2026-12-01")


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Random logs with at least one event of an account."""
    ledger = Ledger()
    for account in ACCOUNTS:
        ledger.open(account, "JPY" if account == "acct_c" and draw(st.booleans()) else "EUR")
    currencies = {event.stream: orjson.loads(event.payload)["currency"] for event in ledger.events}
    for number in range(draw(st.integers(0, 8))):
        ledger.now += timedelta(seconds=draw(st.integers(0, 40_000)), microseconds=draw(st.integers(0, 999_999)))
        source, target = draw(st.permutations(ACCOUNTS))[:2]
        if draw(st.integers(0, 3)) == 0:
            ledger.refuse(f"no-{number}")
        elif currencies[source] == currencies[target]:
            amount, day = draw(st.integers(1, 10**15 - 1)), draw(st.sampled_from(DAYS))
            ledger.transfer(source, target, amount, currency=currencies[source], value_date=day)
    return ledger


@settings(max_examples=40, deadline=None)
@given(ledgers(), st.data())
def test_honest_logs_hold(ledger: Ledger, data: st.DataObject) -> None:
    sizes = sorted(data.draw(st.sets(st.integers(0, ledger.size - 1), max_size=3)))
    rotated = data.draw(st.booleans())
    keys = [(SIGNER, 0), (NEW_SIGNER, data.draw(st.integers(1, ledger.size - 1)))] if rotated else [(SIGNER, 0)]
    bundles = Bundles(ledger, keys=keys, sizes=sizes)
    trusted = [TRUSTED, NEW_TRUSTED] if rotated else [TRUSTED]
    kept = [bundles.note(size) for size in [*sizes, ledger.size]]
    since, until = sorted(data.draw(st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS))))
    account, command = data.draw(st.sampled_from(ACCOUNTS)), data.draw(st.sampled_from(ledger.commands))
    each = [
        bundles.log(),
        bundles.stream(account),
        bundles.statement(account, since, until, data.draw(st.sampled_from(["booking", "value"]))),
        bundles.event(data.draw(st.integers(1, ledger.size))),
        bundles.command(command.actor, command.key),
    ]
    for lines in each:
        report = verified(lines, keys=trusted, kept=kept, witnesses=[TRUSTED_WITNESS])
        assert [str(finding) for finding in report.findings] == []
        assert report.ok


@settings(max_examples=40, deadline=None)
@given(ledgers(), st.data())
def test_heads_at_each_size_of_a_log(ledger: Ledger, data: st.DataObject) -> None:
    """Those who keep heads at any size are answered by the whole log, and a head of another log is not accepted."""
    bundles = Bundles(ledger)
    size = data.draw(st.integers(1, ledger.size))
    assert verified(bundles.log(), kept=[bundles.note(size)]).ok
    other = ledger.change(data.draw(st.integers(1, size)), payload=b"{}")
    assert not verified(bundles.log(), kept=[Bundles(other).note(size)]).ok


def test_what_was_covered() -> None:
    ledger = small_ledger()
    report = verified(
        Bundles(ledger, sizes=(3, 10)).log(), kept=[Bundles(ledger).note(5)], witnesses=[TRUSTED_WITNESS]
    )  # fmt: skip
    assert {check.name: check.covered for check in report.checks.values()} == {
        "checkpoints are signed by keys that you trust": 3,
        "witnesses that you trust have cosigned the last checkpoint": 1,
        "each checkpoint continues the one before": 2,
        "the history continues the heads that you kept": 1,
        "events are those of the tree": 17,
        "encodings are one": 17,
        "positions are dense": 17,
        "times never fall, and none is in the future": 17,
        "units are whole": 9,
        "transactions sum to zero per currency": 4,
        "entries of transactions are those of accounts": 8,
        "records of commands are those of their events": 9,
        "events name the command that appended them": 9,
        "versions of each stream are contiguous": 17,
        "no event of a stream is left out": 8,
    }


def test_an_empty_log() -> None:
    assert verified(Bundles(Ledger()).log()).ok
    with_more = Bundles(small_ledger(), sizes=(0,))
    assert verified(with_more.log(), kept=[Bundles(Ledger()).note()]).ok


def test_what_could_not_be_checked_is_named() -> None:
    bundles = Bundles(small_ledger(), sizes=(3,))
    said = " ".join(verified(bundles.statement("acct_a", "2026-12-01", "2026-12-31"), keys=()).not_checked)
    for what in (
        "whose the keys are",
        "whether others were shown the same history",
        "whether a witness has seen this history",
        "only the bundle names: auditor.example",
        "whether the log computed the heads of streams",
        "the heads of streams of 1 earlier checkpoints",
        "sums of transactions",
        "in the statement: what as_of says before its position, counterparties, counterparties_in_all, description,",
        "description_erased, kind, name, owner",
        "sealed fields",
    ):
        assert what in said
    trusting = verified(bundles.log(), kept=[bundles.note()], witnesses=[TRUSTED_WITNESS]).not_checked
    assert len(trusting) == 3
    assert any("whether a command has a second unit" in what for what in trusting)


def test_earlier_checkpoints_by_keys_that_are_not_named() -> None:
    """Whoever came after the rotation knows the new key alone. The last checkpoint proves the earlier ones."""
    report = verified(
        Bundles(small_ledger(), keys=[(SIGNER, 0), (NEW_SIGNER, 10)], sizes=(3, 10)).log(), keys=[NEW_TRUSTED]
    )  # fmt: skip
    assert report.ok
    said = " ".join(report.not_checked)
    assert "the signatures of 2 earlier checkpoints: only keys that you do not name" in said
    assert "when keys were replaced: only the bundle says so" in said


def test_both_keys_sign_at_a_rotation() -> None:
    class Both(Bundles):
        def note(self, size: int | None = None, signers: Any = None) -> str:
            return super().note(size, [SIGNER, NEW_SIGNER] if size is None or size > 10 else [SIGNER])

    bundles = Both(small_ledger(), keys=[(SIGNER, 0), (NEW_SIGNER, 10)], sizes=(3, 10))
    assert verified(bundles.log(), keys=[TRUSTED, NEW_TRUSTED]).ok
    assert verified(bundles.log(), keys=[TRUSTED]).ok


def test_the_first_checkpoint_of_a_new_key_can_be_of_the_size_at_which_it_took_over() -> None:
    """The tree grows between two checkpoints, so nothing more is sealed before the new key signs."""

    class Grown(Bundles):
        def note(self, size: int | None = None, signers: Any = None) -> str:
            return super().note(size, signers or [SIGNER if size == 3 else NEW_SIGNER])

    ledger = small_ledger()
    bundles = Grown(ledger, keys=[(SIGNER, 0), (NEW_SIGNER, ledger.size)], sizes=(3,))
    report = verified(bundles.log(), keys=[TRUSTED, NEW_TRUSTED])
    assert [str(finding) for finding in report.findings] == []


def test_receipts() -> None:
    """The last event of a unit may come with the record of its command."""
    bundles = Bundles(small_ledger())
    last = next(one.last_position for one in bundles.ledger.commands if one.key == "too-much")
    assert last is not None
    event, record = bundles.event(last), bundles.command("ada", "too-much")[-2]
    receipt = [*event[:-1], record, event[-1]]
    report = verified(receipt)
    assert report.ok
    assert report.checks["records of commands are those of their events"].covered == 1
    other = [*event[:-1], bundles.command("ada", "open-acct_a")[-2], event[-1]]
    assert "the record of its command is not the one" in str(verified(other).findings[0])


def test_opaque_events() -> None:
    """Logs of the eventsourcing library have no commands, and versions that begin at 0."""
    ledger = Ledger()
    for version in (0, 1):
        ledger.unit(f"n-{version}", [("thing", "Thing.Event", {})])
        ledger = ledger.change(version + 1, encoding=1, payload=b"\x80pickle", version=version)
    ledger.commands.clear()
    report = verified(Bundles(ledger).log())
    assert [str(finding) for finding in report.findings] == []
    assert "what the opaque events of the eventsourcing library say" in report.not_checked
    assert report.checks["versions of each stream are contiguous"].covered == 0
    stream = verified(Bundles(ledger).stream("thing"))
    assert stream.ok
    assert stream.checks["no event of a stream is left out"].covered == 0
    assert any("whether opaque events are left out" in what for what in stream.not_checked)


def test_units_from_before_events_named_their_command() -> None:
    ledger = small_ledger()
    ledger = ledger.change(1, metadata=b'{"actor":{"id":"ada"}}')
    report = verified(Bundles(ledger).log())
    assert report.ok
    assert "which command 1 units are of" in report.not_checked[-2]


def test_members_in_another_order_and_spelling() -> None:
    """JSON has spaces and escapes. Only the common spelling of a line with a leaf is read without a parser."""
    encoded = encode(Bundles(small_ledger()).log())
    spaced = b"".join(orjson.dumps(orjson.loads(line), option=orjson.OPT_INDENT_2).replace(b"\n", b"") + b"\n"
                      for line in encoded.splitlines())  # fmt: skip
    assert spaced != encoded
    assert verified_bytes(spaced).ok


# Random changes


def _content(raw: bytes) -> list[Any] | None:
    try:
        return [orjson.loads(line) for line in raw.splitlines()]
    except orjson.JSONDecodeError:
        return None


FILES: Final = [
    encode(lines)
    for bundles in [Bundles(small_ledger(), sizes=(3, 10))]
    for lines in (
        bundles.log(),
        bundles.stream("acct_a"),
        bundles.statement("acct_a", "2026-12-01", "2026-12-31"),
        bundles.event(5),
        bundles.command("ada", "too-much"),
    )
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_a_changed_byte_never_holds(raw: bytes, data: st.DataObject) -> None:
    """Neither does it end the verifier in any other way than by a report."""
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255))
    how = data.draw(st.sampled_from(["change", "remove", "insert"]))
    kept = raw[place:] if how == "insert" else raw[place + 1 :]
    changed = raw[:place] + (b"" if how == "remove" else bytes([byte])) + kept
    _holds_only_if_equal(raw, changed)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_changed_lines_never_hold(raw: bytes, data: st.DataObject) -> None:
    lines = raw.splitlines(keepends=True)[:-1]
    one = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["remove", "double", "swap", "cut"]))
    if how == "remove":
        del lines[one]
    elif how == "double":
        lines.insert(other, lines[one])
    elif how == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    else:
        del lines[one:]
    end = orjson.dumps({"end": {"lines": len(lines)}}) + b"\n"
    _holds_only_if_equal(raw, b"".join(lines) + end)


VALUES: Final = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 2**63), st.text(max_size=8), st.just([]), st.just({}), st.just(["x"])
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FILES), VALUES, st.data())
def test_changed_members_never_hold(raw: bytes, value: Any, data: st.DataObject) -> None:
    lines: list[Line] = [orjson.loads(line) for line in raw.splitlines()][:-1]
    line = data.draw(st.sampled_from(lines))
    body = line if "format" in line else next(iter(line.values()))
    if isinstance(body.get("items"), list) and data.draw(st.booleans()):
        body = data.draw(st.sampled_from(body["items"]))
    body[data.draw(st.sampled_from(sorted(body)))] = value
    _holds_only_if_equal(raw, encode(lines))


def _holds_only_if_equal(raw: bytes, changed: bytes) -> None:
    report = verified_bytes(changed)
    if report.ok:
        assert _proven(_content(changed)) == _proven(_content(raw))


def _proven(lines: list[Any] | None) -> Any:
    """What a bundle says and the verifier checks."""
    assert lines is not None
    proven = []
    for line in lines:
        for name in ("since", "size"):
            line.get("key", {}).pop(name, None)
        if "checkpoint" in line:  # the signatures that count are verified, and those of others ignored
            line["checkpoint"]["note"] = line["checkpoint"]["note"].split("\n\n")[0]
        statement = line.get("statement")
        if isinstance(statement, dict):
            items = [{name: item[name] for name in CHECKED_OF_LINE} for item in statement["items"]]
            line["statement"] = {name: statement[name] for name in CHECKED_OF_STATEMENT}
            line["statement"] |= {"items": items, "as_of": statement["as_of"].rpartition(".")[2]}
        if "witness" not in line:
            proven.append(line)
    proven.pop()  # its number of lines
    return proven


# Parts


def test_sorting_on_disk() -> None:
    numbers = [(number * 7919) % 1000 for number in range(1000)]
    rows = Sorted(io.BytesIO(), 2, most=37)
    for number in numbers:
        rows.add(number.to_bytes(2, "big"))
    assert [int.from_bytes(row, "big") for row in rows] == list(range(1000))


def test_heads_are_sorted_on_disk(monkeypatch: Any) -> None:
    monkeypatch.setattr(daybook_verify, "MOST_IN_MEMORY", 4)
    assert verified(Bundles(small_ledger()).log()).ok


def test_proofs_of_heads() -> None:
    ledger = small_ledger()
    heads = Heads(ledger.events)
    for stream in heads.last:
        assert verified(Bundles(ledger).stream(stream)).ok


def test_amounts() -> None:
    assert [show_money(*one) for one in ((5, "EUR"), (-5, "EUR"), (0, "JPY"), (-12, "JPY"), (1, "KWD"))] == [
        "0.05", "-0.05", "0", "-12", "0.001",
    ]  # fmt: skip


def test_a_statement_of_an_earlier_position() -> None:
    ledger = small_ledger()
    lines = Bundles(ledger).statement("acct_a", "2026-12-01", "2026-12-31")
    lines[-1] = {"statement": statement_of(ledger.upto(13), "acct_a", "2026-12-01", "2026-12-31")}
    report = verified(lines)
    assert report.ok
    assert any(what.startswith("entries after position 13:") for what in report.not_checked)


def test_what_heads_and_witnesses_leave_open() -> None:
    ledger = small_ledger()
    report = verified(Bundles(ledger).log(), kept=[Bundles(ledger).note(size) for size in (5, 3)])
    assert "after position 5, where the heads end that you kept" in " ".join(report.not_checked)
    raw = encode(Bundles(ledger, witnesses=()).log())
    trust = Trust([TRUSTED], [TRUSTED_WITNESS], 0, (), microseconds(NOW))
    report = verify(io.BufferedReader(io.BytesIO(raw)), trust)
    assert report.ok
    assert "none of those that you name has cosigned it" in " ".join(report.not_checked)


def test_times_that_witnesses_saw() -> None:
    """What was seen later, or up to an earlier position, does not matter if something was seen earlier further on."""
    run = Verification(Trust(now=100), None, lambda events: None)
    run._seen = [SeenAt(*one) for one in ((5, 50, "a"), (9, 40, "b"), (9, 60, "c"), (12, 70, "d"), (3, 200, "e"))]
    assert [(one.position, one.time) for one in run._compute_limits()[1:]] == [(12, 70), (9, 60), (9, 40)]


def test_names_of_a_statement_cannot_forge_the_report() -> None:
    lines = Bundles(small_ledger()).statement("acct_a", "2026-12-01", "2026-12-31")
    lines[-1]["statement"] |= {"a\nEverything that could be checked holds.\x1b[2J": 1, "b" * 600: 1}
    shown = list(verified(lines).as_text())
    assert all(line.isprintable() for line in shown)
    (said,) = [line for line in shown if "in the statement" in line]
    assert said.endswith("relation")
    lines[-1]["statement"] |= {f"a{number}": 1 for number in range(60)}
    (said,) = [line for line in verified(lines).as_text() if "in the statement" in line]
    assert said.endswith("more members")


def test_the_report_names_what_the_bundle_is_of() -> None:
    bundles = Bundles(small_ledger())
    first = [next(verified(lines).as_text()) for lines in (bundles.event(6), bundles.command("ada", "too-much"))]
    assert first[0].startswith("bundle of the kind event, position 6: log")
    assert first[1].startswith("bundle of the kind command, actor 'ada', command 'too-much': log")
