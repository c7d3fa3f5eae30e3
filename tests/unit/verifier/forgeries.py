"""Every known way to forge a bundle, and what the verifier says.

A forger without the key of the log changes the lines of a bundle. One with the key changes the log, and signs what it
is then: tree, heads, records and proofs are consistent. `only_kept` marks what nothing in the bundle can reveal: it
holds by itself, and is found by whoever kept a head, or trusts a witness that saw one. Add a row for a new way.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import orjson

from eventstore.log.leaf import StoredEvent, command_record, leaf
from eventstore.proof.checkpoints import Checkpoint
from eventstore.proof.notes import Signer
from tests.support.bundles import (
    NEW_SIGNER,
    NEW_TRUSTED,
    NOW,
    ORIGIN,
    SIGNER,
    TRUSTED,
    TRUSTED_WITNESS,
    Bundles,
    Heads,
    Ledger,
    Line,
    b64,
    leaf_lines,
    raw_leaf,
    small_ledger,
    statement_of,
)

LEDGER: Final = small_ledger()
SIZES: Final = (3, 10)
TRUE: Final = Bundles(LEDGER, sizes=SIZES)
OTHER: Final = Signer(ORIGIN, b"o" * 32)
FROZEN: Final = next(event.position for event in LEDGER.events if event.type == "account.frozen.v1")
POSTED: Final = next(event.position for event in LEDGER.events if event.type == "transaction.posted.v1")
SHARE: Final = POSTED + 1
CHANGED: Final = "do not have the root of the checkpoint"
NOT_INCLUDED: Final = "the inclusion proof does not lead"
FORKED: Final = "there are two histories"
BAD_HEADS: Final = r"the heads of the \d+ streams of the events are not those"


@dataclass(frozen=True)
class Forgery:
    """A forged bundle, and sentences of the findings. `trust` is what the reader knows."""

    name: str
    lines: list[Line]
    says: Sequence[str]
    trust: dict[str, Any] = field(default_factory=dict)
    only_kept: bool = False  # it holds without `trust`


# Without the key


def edited(lines: list[Line], change: Callable[[list[Line]], None]) -> list[Line]:
    """A copy of lines that was changed."""
    copy = deepcopy(lines)
    change(copy)
    return copy


def with_leaf(lines: list[Line], number: int, raw: bytes) -> list[Line]:
    """A copy in which the `number`-th leaf, from 0, has other bytes."""

    def change(copy: list[Line]) -> None:
        copy[leaf_lines(copy)[number]]["leaf"]["bytes"] = b64(raw)

    return edited(lines, change)


def of_column(event: StoredEvent, **columns: Any) -> bytes:
    """The leaf of an event with other columns, and the right record of the command."""
    return leaf(LEDGER.log, replace(event, **columns), LEDGER.command_of(event))


_EVENT: Final = LEDGER.events[SHARE - 1]
COLUMNS: Final[dict[str, bytes]] = {
    "position": of_column(_EVENT, position=_EVENT.position + 1),
    "unit_end": of_column(_EVENT, unit_end=_EVENT.unit_end + 1),
    "stream": of_column(_EVENT, stream="acct_c"),
    "version": of_column(_EVENT, version=_EVENT.version + 1),
    "type": of_column(_EVENT, type="account.credited.v1"),
    "recorded_at": of_column(_EVENT, recorded_at=_EVENT.recorded_at + 1),
    "encoding": of_column(_EVENT, encoding=1),
    "payload": of_column(_EVENT, payload=_EVENT.payload.replace(b"1250", b"1251")),
    "metadata": of_column(_EVENT, metadata=_EVENT.metadata.replace(b"ada", b"eve")),
    "commands": LEDGER.leaf(_EVENT)[:-32] + bytes(32),
}
EVENT_OF_COLUMNS: Final = TRUE.event(SHARE)
LOG: Final = TRUE.log()


def _drop(number: int) -> Callable[[list[Line]], None]:
    def change(lines: list[Line]) -> None:
        del lines[leaf_lines(lines)[number]]

    return change


def _insert(lines: list[Line]) -> None:
    at = leaf_lines(lines)[5]
    lines.insert(at, deepcopy(lines[at]))


def _swap(lines: list[Line]) -> None:
    one, other = leaf_lines(lines)[4:6]
    lines[one], lines[other] = lines[other], lines[one]


def _cut_unit(lines: list[Line]) -> None:
    """Leave out the last events of the log, so that the last unit is not whole."""
    del lines[leaf_lines(lines)[-2] :]


def _change_record(lines: list[Line]) -> None:
    line = next(line for line in lines if "record" in line)
    line["record"]["bytes"] = b64(b64decode(line["record"]["bytes"]).replace(b"versions", b"verzions"))


def _drop_record(lines: list[Line]) -> None:
    lines.remove(next(line for line in lines if "record" in line))


def _wrong_root(lines: list[Line]) -> None:
    line = next(line for line in reversed(lines) if "checkpoint" in line)
    note = line["checkpoint"]["note"].split("\n")
    note[2] = b64(bytes(32))
    line["checkpoint"]["note"] = "\n".join(note)


def _older_heads(lines: list[Line]) -> None:
    """The right checkpoint of an earlier size in the place of the last one."""
    del lines[-1]


COLUMNS_CHANGED: Final = [
    *(
        Forgery(f"{column} of an event changed, in the log", with_leaf(LOG, SHARE - 1, raw), [CHANGED])
        for column, raw in COLUMNS.items()
    ),
    *(
        Forgery(f"{column} of an event changed, with its proof", with_leaf(EVENT_OF_COLUMNS, 0, raw), [NOT_INCLUDED])
        for column, raw in COLUMNS.items()
    ),
]
EVENTS: Final = [
    Forgery("an event dropped", edited(LOG, _drop(4)), ["position 5 is missing before it", "16 events, and its last"]),
    Forgery("the first event dropped", edited(LOG, _drop(0)), ["position 1 is missing before it"]),
    Forgery("an event inserted", edited(LOG, _insert), ["the position is there twice", CHANGED]),
    Forgery(
        "two events swapped", edited(LOG, _swap), ["position 5 is missing before it", "the position comes after 6"]
    ),
    Forgery("a unit cut", edited(LOG, _cut_unit), ["should end at 17, and was cut before", "the bundle has 15"]),
    Forgery("the record of a command changed", edited(LOG, _change_record), ["is not the one that its events name"]),
    Forgery("the record of a command left out", edited(LOG, _drop_record), ["of its unit is not in the bundle"]),
    Forgery(
        "the record of the one command changed",
        edited(TRUE.command("ada", f"pay-tx_{POSTED:06d}"), _change_record),
        ["is not the one that its events name"],
    ),
    Forgery(
        "another command than was asked for",
        edited(TRUE.command("ada", "too-much"), lambda lines: lines[0].update(command="pay")),
        ["does not have the command 'pay' of 'ada' alone"],
    ),
    Forgery(
        "another event than was asked for",
        edited(TRUE.event(4), lambda lines: lines[0].update(position=5)),
        ["does not have the event of position 5 alone"],
    ),
    Forgery(
        "a personal field resealed",
        with_leaf(LOG, FROZEN - 1, raw_leaf(LOG[leaf_lines(LOG)[FROZEN - 1]]).replace(b"sealed:AAAA", b"sealed:BBBB")),
        [CHANGED],
    ),
    Forgery(
        "the proof is of another leaf",
        edited(TRUE.event(4), lambda lines: lines[-1]["leaf"].update(proof=TRUE.event(5)[-1]["leaf"]["proof"])),
        [NOT_INCLUDED],
    ),
]
HEADS: Final = [
    Forgery("a head with another root", edited(LOG, _wrong_root), ["the signature by .* is wrong", CHANGED]),
    Forgery(
        "signed by another key",
        Bundles(LEDGER, keys=[(OTHER, 0)]).log(),
        ["no key that you trust has signed the checkpoint of size 17"],
    ),
    Forgery(
        "signed by another key that the bundle passes off as a later one",
        Bundles(LEDGER, keys=[(SIGNER, 0), (OTHER, 10)], sizes=SIZES).log(),
        ["no key that you trust has signed the checkpoint of size 17"],
    ),
    Forgery(
        "an older bundle than a head that was shown",
        Bundles(LEDGER.upto(13)).log(),
        ["of size 17, and the bundle ends at 13"],
        {"kept": [TRUE.note()]},
    ),
    Forgery(
        "a head of another log",
        LOG,
        ["of the log 'else.example', and the bundle of 'ledger.example/main'"],
        {"kept": [TRUE.note().replace(ORIGIN, "else.example")]},
    ),
    Forgery(
        "a head that nobody who is trusted signed",
        LOG,
        ["no key that you trust has signed the head"],
        {"kept": [TRUE.note(10, [OTHER])]},
    ),
    Forgery(
        "a head that cannot be compared",
        TRUE.stream("acct_a"),
        ["the head of size 5 cannot be compared.*--since 5"],
        {"kept": [TRUE.note(5)]},
    ),
    Forgery(
        "a cosignature from the future",
        Bundles(LEDGER, cosigned_at=NOW + timedelta(hours=1)).log(),
        ["the cosignature by auditor.* is of 2026-12-24T01:00:00Z, which is in the future"],
    ),
    Forgery(
        "a head from the future",
        LOG,
        ["kept-0: the cosignature by auditor.* which is in the future"],
        {"kept": [Bundles(LEDGER, cosigned_at=NOW + timedelta(hours=1)).note(10)]},
    ),
    Forgery(
        "events from the future",
        LOG,
        ["it was recorded 2026-11-30T23:59:20Z, after now, 2026-11-30T23:0"],
        {"now": NOW - timedelta(days=23, minutes=55)},
    ),
    Forgery(
        "not cosigned by the witness that the reader trusts",
        Bundles(LEDGER, witnesses=()).log(),
        ["0 of your 1 witnesses have cosigned the checkpoint of size 17, and you ask for 1; missing: auditor"],
        {"witnesses": [TRUSTED_WITNESS]},
    ),
]

CHECKPOINTS: Final = [
    Forgery(
        "keys of another log",
        LOG,
        ["the bundle is of the log 'ledger.example/main', and the keys that you trust are of 'else.example'"],
        {"keys": [TRUSTED._replace(name="else.example")]},
    ),
    Forgery(
        "a key from the future",
        edited(LOG, lambda lines: lines[1]["key"].update(since="2027-01-01T00:00:00Z")),
        ["signs since 2027-01-01T00:00:00Z, which is in the future"],
    ),
    Forgery(
        "an earlier checkpoint that nobody signed",
        edited(LOG, lambda lines: lines[3]["checkpoint"].update(note=Bundles(LEDGER, witnesses=()).note(3, [OTHER]))),
        ["no key that you trust has signed the checkpoint of size 3"],
    ),
]

# After a rotation: the new key signs from the size 10 on.
ROTATED: Final = Bundles(LEDGER, keys=[(SIGNER, 0), (NEW_SIGNER, 10)], sizes=SIZES)
BOTH: Final = (TRUSTED, NEW_TRUSTED)


class _OldKey(Bundles):
    """After the rotation, the thief of the old key signs."""

    def note(self, size: int | None = None, signers: Sequence[Signer] | None = None) -> str:
        return super().note(size, [SIGNER])


ROTATION: Final = [
    Forgery(
        "signed by the old key after its rotation",
        _OldKey(LEDGER, keys=[(SIGNER, 0), (NEW_SIGNER, 10)], sizes=SIZES).log(),
        ["an old key after its rotation; since size 10 the key .* has to sign", "not signed by .*, the newest key"],
        {"keys": BOTH},
    ),
    Forgery(
        "signed by the old key, and the rotation hidden",
        Bundles(LEDGER, sizes=SIZES).log(),
        ["is not signed by .*, the newest key that you trust, but by an older one"],
        {"keys": BOTH},
    ),
    Forgery(
        "signed by the old key, and the reader knows of no rotation",
        Bundles(small_ledger().change(FROZEN, payload=b"{}"), sizes=SIZES).log(),
        ["kept-0: no key that you trust has signed the head"],
        {"kept": [ROTATED.note()]},
        only_kept=True,
    ),
]

# Statements

DAYS: Final = ("acct_a", "2026-12-01", "2026-12-31")
STATEMENT: Final = TRUE.statement(*DAYS)
BY_VALUE: Final = TRUE.statement("acct_a", "2026-11-01", "2026-12-31", "value")


def _shorter(number: int) -> Callable[[list[Line]], None]:
    """Leave out a line of the statement, and make its figures as if it had never been."""

    def change(lines: list[Line]) -> None:
        value = lines[-1]["statement"]
        gone = value["items"].pop(number)
        cents = _cents(gone["amount"])
        value["entries"] -= 1
        value["credits" if cents > 0 else "debits"] = _less(value["credits" if cents > 0 else "debits"], abs(cents))
        value["net"], value["closing"] = _less(value["net"], cents), _less(value["closing"], cents)
        for item in value["items"][number:]:
            item["balance"] = _less(item["balance"], cents)

    return change


def _cents(text: str) -> int:
    return int(text.replace(".", ""))


def _less(text: str, cents: int) -> str:
    value = _cents(text) - cents
    return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"


def _without_event(lines: list[Line]) -> None:
    """Leave the line and its event out."""
    last = lines[-1]["statement"]["items"][-1]
    position = last["position"] + last["entry"]  # the line has the position of the transaction
    _shorter(-1)(lines)
    number = [event.position for event in LEDGER.events if event.stream == "acct_a"].index(position)
    _drop(number)(lines)


def _set(**members: Any) -> Callable[[list[Line]], None]:
    return lambda lines: lines[-1]["statement"].update(members)


def _set_item(number: int, **members: Any) -> Callable[[list[Line]], None]:
    return lambda lines: lines[-1]["statement"]["items"][number].update(members)


def _reorder(lines: list[Line]) -> None:
    items = lines[-1]["statement"]["items"]
    items[0], items[1] = items[1], items[0]


def _repeat(lines: list[Line]) -> None:
    items = lines[-1]["statement"]["items"]
    items.append(dict(items[-1]))


STATEMENTS: Final = [
    Forgery(
        "a line left out", edited(STATEMENT, _shorter(1)), ["entry 3 of the account is left out", "another closing"]
    ),
    Forgery("a line left out, by value date", edited(BY_VALUE, _shorter(0)), ["entry 2 of the account is left out"]),
    Forgery(
        "a line left out with its event",
        edited(STATEMENT, _without_event),
        ["the stream has 5 events up to position 16, and the bundle has them up to version 4 at position 13"],
    ),
    Forgery("a line twice", edited(STATEMENT, _repeat), ["line 4 of the statement has no number of its own"]),
    Forgery(
        "a line of another period",
        edited(
            STATEMENT,
            lambda lines: lines[-1]["statement"]["items"].insert(
                0, statement_of(LEDGER, "acct_a", "2026-11-01", "2026-11-30")["items"][0]
            ),
        ),
        ["line 1 of the statement is no entry of the account in the period"],
    ),
    Forgery("lines in another order", edited(STATEMENT, _reorder), ["line 2 of the statement is not in its order"]),
    Forgery(
        "lines in another order, by value", edited(BY_VALUE, _reorder), ["line 2 of the statement is not in its order"]
    ),
    *(
        Forgery(f"another {name} in a line", edited(STATEMENT, _set_item(0, **{name: value})), [f"another {name} than"])
        for name, value in {
            "transaction": "tx_else",
            "entry": 1,
            "value_date": "2026-11-27",
            "recorded_at": "2026-12-01T00:00:00.000001Z",
            "position": 9,
            "amount": "0.06",
            "balance": "1.00",
        }.items()
    ),
    *(
        Forgery(f"another {name}", edited(STATEMENT, _set(**{name: value})), [f"the statement has another {name} than"])
        for name, value in {
            "number": "N-else",
            "type": "merchant",
            "opening": "0.00",
            "debits": "0.00",
            "credits": "0.00",
            "net": "0.00",
            "closing": "0.00",
            "entries": 2,
        }.items()
    ),
    Forgery("another currency", edited(STATEMENT, _set(currency="USD")), ["another currency than the statement"]),
    Forgery("of a position to come", edited(STATEMENT, _set(as_of="main.1.18")), ["18, after the last checkpoint, 17"]),
    Forgery(
        "as of an earlier position",
        edited(STATEMENT, _set(as_of="main.1.13")),
        ["line 3 of the statement is no entry of the account in the period"],
    ),
    Forgery(
        "the head of another version",
        edited(STATEMENT, lambda lines: lines[-2]["head"].update(version=4)),
        ["is not one of those that the last checkpoint commits to", "the stream has 4 events"],
    ),
    Forgery(
        "the head left out",
        edited(STATEMENT, lambda lines: lines.remove(lines[-2])),
        ["so events can be left out at its end"],
    ),
    Forgery(
        "an event of another stream",
        edited(
            TRUE.stream("acct_a"),
            lambda lines: lines.insert(leaf_lines(lines)[1], deepcopy(TRUE.event(2)[-1])),
        ),
        ["the event is of another stream, 'acct_b'"],
    ),
]

# With the key: the log is changed, and everything is made and signed anew


def rewritten(ledger: Ledger) -> list[Line]:
    """The whole log as its owner would export it, without witnesses, who do not sign two histories."""
    return Bundles(ledger, sizes=SIZES, witnesses=()).log()


def _payload(ledger: Ledger, position: int, **members: Any) -> Ledger:
    payload = {**orjson.loads(ledger.events[position - 1].payload), **members}
    return ledger.change(position, payload=orjson.dumps(payload, option=orjson.OPT_SORT_KEYS))


def _with_record(ledger: Ledger, number: int, **columns: Any) -> Ledger:
    changed = ledger.copy()
    changed.commands[number] = replace(changed.commands[number], **columns)
    return changed


def _other_amount() -> Ledger:
    """Another amount, everywhere where it stands."""
    posted = orjson.loads(LEDGER.events[POSTED - 1].payload)
    ledger = _payload(LEDGER, POSTED, entries=[{**entry, "amount": 9_999_999} for entry in posted["entries"]])
    return _payload(_payload(ledger, SHARE, amount=9_999_999), SHARE + 1, amount=9_999_999)


def _moved(microseconds: int) -> Ledger:
    """The time of a unit and its record moved."""
    ledger = LEDGER.copy()
    for event in ledger.events:
        if event.unit_end == POSTED + 2:
            ledger = ledger.change(event.position, recorded_at=event.recorded_at + microseconds)
    number = next(n for n, one in enumerate(ledger.commands) if one.last_position == POSTED + 2)
    return _with_record(ledger, number, recorded_at=ledger.commands[number].recorded_at + microseconds)


def _other_history() -> Ledger:
    ledger = Ledger()
    for amount in range(1, 8):
        ledger.transfer("acct_b", "acct_a", amount)
    return ledger


def _without_last_unit() -> Ledger:
    return LEDGER.upto(LEDGER.commands[-2].last_position or 0)


def _gap() -> Ledger:
    ledger = LEDGER.copy()
    del ledger.events[SHARE - 1]
    return ledger


def _wrong_heads(lines: list[Line]) -> list[Line]:
    """The heads of a log in which a stream ends earlier."""
    ledger = LEDGER.copy()
    del ledger.events[-1]
    return _with_extensions(lines, Bundles(ledger).note(ledger.size, [SIGNER]).split("\n")[3])


def _without_heads(lines: list[Line]) -> list[Line]:
    return _with_extensions(lines)


def _with_extensions(lines: list[Line], *extensions: str) -> list[Line]:
    text = Bundles(LEDGER).note().split("\n\n")[0].split("\n")
    note = Checkpoint(ORIGIN, LEDGER.size, b64decode(text[2]), extensions).sign([SIGNER])
    return edited(lines, lambda copy: copy[_last_checkpoint(copy)]["checkpoint"].update(note=str(note)))


class _OtherHashes(Ledger):
    """A log in which an event names another record than the others of its unit."""

    def leaves(self) -> list[bytes]:
        leaves = super().leaves()
        leaves[SHARE - 1] = leaves[SHARE - 1][:-32] + bytes(32)
        return leaves


def _with_unit(*events: tuple[str, str, dict[str, Any]]) -> Ledger:
    """The log with one more unit."""
    ledger = LEDGER.copy()
    ledger.unit("one-more", events)
    return ledger


def _of_unit(number: int, **columns: Any) -> Ledger:
    """The log in which all events of a command have other columns."""
    ledger, command = LEDGER, LEDGER.commands[number]
    for event in LEDGER.events:
        if event.unit_end == command.last_position:
            ledger = ledger.change(event.position, **columns)
    return ledger


def _two_commands() -> Ledger:
    ledger = LEDGER.copy()
    ledger.commands.insert(1, replace(ledger.commands[0], key="z-second"))
    return ledger


def _both_records() -> list[Line]:
    """The second command has the same unit as the first one."""
    ledger = _two_commands()
    lines = rewritten(ledger)
    second = b64(command_record(ledger.log, ledger.commands[1]))
    first = b64(command_record(ledger.log, ledger.commands[0]))
    at = next(place for place, line in enumerate(lines) if "record" in line)
    lines[at : at + 1] = [{"record": {"bytes": first}}, {"record": {"bytes": second}}]
    return lines


def _with_opaque() -> Ledger:
    """The log with an opaque event of `acct_a`, and a payment after it."""
    ledger = _with_unit(("acct_a", "Thing.Event", {}))
    ledger.commands.pop()
    ledger = ledger.change(ledger.size, encoding=1)
    ledger.transfer("acct_a", "acct_b", 5)
    return ledger


def _left_out_before_opaque(lines: list[Line]) -> None:
    """Leave out the entries between the first event of the account and the opaque one."""
    opaque = leaf_lines(lines)[-2]
    del lines[leaf_lines(lines)[1] : opaque]


def _closed_by_opaque() -> Ledger:
    """The log with a payment that no command made: an opaque event ends its unit."""
    ledger = LEDGER.copy()
    ledger.transfer("acct_a", "acct_b", 77)
    ledger.commands.pop()
    end = ledger.size + 1
    for event in ledger.events[-3:]:
        ledger = ledger.change(event.position, unit_end=end)
    last = ledger.events[-1]
    ledger.events.append(StoredEvent(end, end, "library", 1, "Thing.Event", last.recorded_at, 1, b"x", b"y"))
    return ledger


def _with_figures_elsewhere() -> Ledger:
    """The figures of the record stand in another member of the refusal than `figures`."""
    refused = next(event.position for event in LEDGER.events if event.type == "command.refused.v1")
    ledger = _payload(LEDGER, refused, other={"figures": {"amount": "9.00"}})
    return _with_record(ledger, 4, result=b'{"amount":"9.00"}')


def _opened_again() -> list[Line]:
    opening = {"number": "N-else", "type": "savings", "currency": "EUR"}
    ledger = _with_unit(("acct_a", "account.opened.v1", opening))
    return edited(Bundles(ledger).statement(*DAYS), _set(number="N-else", type="savings"))


def _note_with_other_heads() -> str:
    """The root of the true log, with the heads of one in which the last unit is missing."""
    root = TRUE.note().split("\n")[2]
    heads = Heads(_without_last_unit().events).line
    return str(Checkpoint(ORIGIN, LEDGER.size, b64decode(root), (heads,)).sign([SIGNER]))


POST, DEBIT = "transaction.posted.v1", "account.debited.v1"
_ENTRY: Final = {"transaction": "tx_x", "entry": 1, "amount": 1, "currency": "EUR", "value_date": "2026-12-01"}
_ENTRIES: Final = [{"account": "acct_a", "side": side, "amount": 1, "currency": "EUR"} for side in ("debit", "credit")]
_POSTING: Final = {"value_date": "2026-12-01", "entries": _ENTRIES}


def _last_checkpoint(lines: list[Line]) -> int:
    return max(place for place, line in enumerate(lines) if "checkpoint" in line)


ONLY_KEPT: Final[dict[str, Ledger]] = {
    "the tail cut, with the heads": _without_last_unit(),
    "a personal field resealed": _payload(LEDGER, FROZEN, reason="sealed:BBBB"),
    "another amount, in the transaction and on the accounts": _other_amount(),
    "the record of a command changed": _with_record(LEDGER, 3, result=b'{"versions":{"acct_a":7}}'),
    "the hash of a request changed": _with_record(LEDGER, 3, request_hash=bytes(32)),
    "a time moved within those beside it": _moved(1_000_000),
    "another history, of other payments": _other_history(),
}
SIGNED: Final = [
    *(
        Forgery(
            f"rewritten: {name}",
            rewritten(ledger),
            [FORKED if ledger.size >= LEDGER.size else "it is older than what was shown before"],
            {"kept": [TRUE.note()]},
            only_kept=True,
        )
        for name, ledger in ONLY_KEPT.items()
    ),
    Forgery(
        "rewritten: found by an older head, whose root is computed",
        rewritten(_other_amount()),
        [rf"kept-0: the first {SHARE + 5} events have another root.*{FORKED}"],
        {"kept": [TRUE.note(SHARE + 5)]},
        only_kept=True,
    ),
    Forgery(
        "rewritten: the witness did not see it",
        rewritten(_other_amount()),
        ["0 of your 1 witnesses have cosigned"],
        {"witnesses": [TRUSTED_WITNESS]},
        only_kept=True,
    ),
    Forgery(
        "rewritten: the cosignature of the true history beside it",
        edited(
            rewritten(_other_amount()),
            lambda lines: lines[_last_checkpoint(lines)]["checkpoint"].update(
                note=lines[_last_checkpoint(lines)]["checkpoint"]["note"] + TRUE.note().split("\n")[-2] + "\n"
            ),
        ),
        ["the signature by auditor.example.* is wrong", "0 of your 1 witnesses"],
        {"witnesses": [TRUSTED_WITNESS]},
        only_kept=True,
    ),
    Forgery(
        "two readers are shown two histories",
        TRUE.log(),
        [FORKED],
        {"kept": [Bundles(_other_amount()).note()]},
        only_kept=True,
    ),
    Forgery("rewritten: a position left out", rewritten(_gap()), [f"position {SHARE} is missing before it"]),
    Forgery("rewritten: a version left out", rewritten(LEDGER.change(SHARE, version=3)), ["version 3 of its stream"]),
    Forgery(
        "rewritten: money made", rewritten(_payload(LEDGER, SHARE + 1, amount=1)), ["differs between the transaction"]
    ),
    Forgery(
        "rewritten: money made, in the transaction too",
        rewritten(
            _payload(
                _payload(LEDGER, SHARE + 1, amount=1),
                POSTED,
                entries=[
                    {"account": "acct_a", "side": "debit", "amount": 1250, "currency": "EUR"},
                    {"account": "acct_b", "side": "credit", "amount": 1, "currency": "EUR"},
                ],
            )
        ),
        ["the entries of 'tx_000004' in 'EUR' sum to -1249 minor units"],
    ),
    Forgery(
        "rewritten: an entry on another account",
        rewritten(LEDGER.change(SHARE, stream="acct_c", version=1)),
        ["entry 1 of 'tx_000004' differs between"],
    ),
    Forgery(
        "rewritten: an entry that is none",
        rewritten(LEDGER.change(SHARE, type="account.frozen.v1")),
        ["entry 1 of 'tx_000004' is not on its account"],
    ),
    Forgery(
        "rewritten: a transaction that is none",
        rewritten(LEDGER.change(POSTED, type="transaction.cancelled.v1")),
        ["entry 1 of 'tx_000004' is on an account, and the transaction does not have it"],
    ),
    Forgery(
        "rewritten: an amount that cannot be read",
        rewritten(_payload(LEDGER, SHARE, amount="12.50")),
        ["the account.debited.v1 cannot be read: amount is not a number"],
    ),
    Forgery("rewritten: a unit cut", rewritten(LEDGER.change(POSTED, unit_end=POSTED)), ["names no record"]),
    Forgery("rewritten: a time earlier", rewritten(_moved(-60_000_000)), ["it was recorded .*, and the event before"]),
    Forgery(
        "rewritten: a time after the witness saw it",
        Bundles(_moved(1_000_000), cosigned_at=NOW - timedelta(days=60)).log(),
        ["it was recorded .*, after auditor.example.* saw it at 2026-10-25"],
    ),
    Forgery(
        "rewritten: one event of a unit at another time",
        rewritten(LEDGER.change(SHARE, recorded_at=_EVENT.recorded_at + 1)),
        ["recorded at different times"],
    ),
    Forgery(
        "rewritten: the actor of an event",
        rewritten(LEDGER.change(SHARE, metadata=_EVENT.metadata.replace(b"ada", b"eve"))),
        ["have different metadata"],
    ),
    Forgery(
        "rewritten: the actor of a record",
        rewritten(_with_record(LEDGER, 3, actor="eve")),
        ["the metadata does not name the actor 'eve'"],
    ),
    Forgery(
        "rewritten: the key of a record",
        rewritten(_with_record(LEDGER, 3, key="else")),
        ["the metadata does not name the command 'else'"],
    ),
    Forgery(
        "rewritten: the time of a record",
        rewritten(_with_record(LEDGER, 3, recorded_at=0)),
        ["was recorded 1970-01-01T00:00:00Z, and its events"],
    ),
    Forgery(
        "rewritten: the first position of a record",
        rewritten(_with_record(LEDGER, 3, first_position=1)),
        ["is of the positions 1 to 6, and the unit has others"],
    ),
    Forgery(
        "rewritten: where a command was decided",
        rewritten(_with_record(LEDGER, 3, decided_position=1)),
        ["says that it was decided at 1, and its events begin at 4"],
    ),
    Forgery(
        "rewritten: an outcome that does not exist",
        rewritten(_with_record(LEDGER, 3, outcome=9)),
        ["has the outcome 9, which does not exist"],
    ),
    Forgery(
        "rewritten: a refusal taken back",
        rewritten(_with_record(LEDGER, 4, rule=None, outcome=1)),
        ["do not agree whether it was refused"],
    ),
    Forgery(
        "rewritten: a refusal by another rule",
        rewritten(_with_record(LEDGER, 4, rule="else")),
        ["the refusal of command 'too-much' differs from its record"],
    ),
    Forgery(
        "rewritten: a record of no unit",
        [*rewritten(LEDGER), next(line for line in LOG if "record" in line)],
        ["the record of command 'open-acct_a' is of no unit here"],
    ),
    Forgery("rewritten: two records of a unit", _both_records(), ["its unit has the records of 2 commands"]),
    Forgery(
        "rewritten: an opaque event with a record",
        rewritten(_of_unit(0, encoding=1)),
        ["a unit of opaque events has the record of a command"],
    ),
    Forgery(
        "rewritten: metadata that is no JSON",
        rewritten(_of_unit(0, metadata=b"x")),
        ["the metadata cannot be read: it is not JSON"],
    ),
    Forgery(
        "rewritten: a refusal that is no JSON",
        rewritten(_of_unit(4, payload=b"x")),
        ["the refusal cannot be read: it is not JSON"],
    ),
    Forgery(
        "rewritten: an event that names another record than its unit",
        rewritten(_OtherHashes(LEDGER.log, LEDGER.now, LEDGER.events, LEDGER.commands, LEDGER.versions)),
        ["name different records of commands"],
    ),
    Forgery(
        "rewritten: a unit that ends before its event",
        rewritten(LEDGER.change(LEDGER.size, unit_end=LEDGER.size - 1)),
        ["its unit ends at 16, before it"],
    ),
    Forgery(
        "rewritten: a transaction that is posted twice in a unit",
        rewritten(_with_unit(("tx_x", POST, _POSTING), ("tx_x", POST, _POSTING))),
        ["'tx_x' is posted twice in its unit"],
    ),
    Forgery(
        "rewritten: an entry twice in a unit",
        rewritten(_with_unit(("acct_a", DEBIT, _ENTRY), ("acct_b", DEBIT, _ENTRY))),
        ["entry 1 of 'tx_x' is there twice"],
    ),
    Forgery(
        "rewritten: more entries than a unit can have",
        rewritten(_with_unit(("tx_x", POST, {**_POSTING, "entries": _ENTRIES * 5_001}))),
        ["its unit has over 10000 entries and cannot match"],
    ),
    Forgery(
        "rewritten: no heads of streams",
        _without_heads(rewritten(LEDGER)),
        ["the last checkpoint does not commit to the heads of streams"],
    ),
    Forgery(
        "rewritten: an earlier checkpoint of the true history beside it",
        edited(
            Bundles(_other_amount(), sizes=SIZES).stream("acct_a"),
            lambda lines: lines[4]["checkpoint"].update(note=TRUE.note(10)),
        ),
        ["it is not proven that the tree of 3 leaves", "it is not proven that the tree of 10 leaves"],
    ),
    Forgery(
        "rewritten: a version left out, in a stream",
        Bundles(LEDGER.change(SHARE, version=3)).stream("acct_a"),
        ["it has version 3, and version 2 is expected"],
    ),
    Forgery(
        "an entry that cannot be read, in a statement",
        with_leaf(STATEMENT, 1, of_column(_EVENT, payload=b"{}")),
        ["the account.debited.v1 cannot be read: transaction is not a text"],
    ),
    Forgery(
        "rewritten: entries left out before an event that is opaque, in a stream",
        edited(Bundles(_with_opaque()).stream("acct_a"), _left_out_before_opaque),
        ["the log has events in JSON and opaque ones"],
    ),
    Forgery(
        "rewritten: an opaque event, so that versions may be missing",
        rewritten(_with_opaque().change(SHARE, version=7)),
        ["the log has events in JSON and opaque ones"],
    ),
    Forgery(
        "rewritten: money of a version that this program does not know",
        rewritten(_with_unit(("acct_a", "account.credited.v2", {"amount": 1}))),
        ["the account.credited.v2 cannot be read: this program knows version 1 alone"],
    ),
    Forgery(
        "rewritten: money of a version that this program does not know, in a statement",
        Bundles(_with_unit(("acct_a", "account.credited.v2", {"amount": 1}))).statement(*DAYS),
        ["the account.credited.v2 cannot be read: this program knows version 1 alone"],
    ),
    Forgery(
        "rewritten: an encoding that does not exist",
        rewritten(LEDGER.change(FROZEN, encoding=7)),
        ["it has the encoding 7, which does not exist"],
    ),
    Forgery(
        "rewritten: a payment of no command, in a unit that an opaque event ends",
        rewritten(_closed_by_opaque()),
        ["the log has events in JSON and opaque ones"],
    ),
    Forgery(
        "rewritten: a command that was accepted has the outcome of a refusal",
        rewritten(_with_record(LEDGER, 3, outcome=2)),
        ["has the outcome 2 and no rule by which it was refused"],
    ),
    Forgery(
        "rewritten: a refused command has the outcome of an accepted one",
        rewritten(_with_record(LEDGER, 4, outcome=1)),
        ["has the outcome 1 and a rule by which it was refused"],
    ),
    Forgery(
        "rewritten: a refusal in the unit of a command that was accepted",
        rewritten(_with_unit(("refusal_x", "command.refused.v1", {}), ("acct_a", "account.frozen.v1", {}))),
        ["a refusal is not the last event of its unit"],
    ),
    Forgery(
        "rewritten: the figures of a refusal cut in its record",
        rewritten(_with_record(LEDGER, 4, result=b'{"amount":"5')),
        ["the refusal cannot be read: it is not JSON"],
    ),
    Forgery(
        "rewritten: the figures of a refusal in another member",
        rewritten(_with_figures_elsewhere()),
        ["the refusal of command 'too-much' differs from its record"],
    ),
    Forgery("rewritten: an account opened twice, in a statement", _opened_again(), ["the account was opened before"]),
    Forgery(
        "other heads of streams than in a head of the same size and root",
        TRUE.stream("acct_a"),
        ["kept-0: the head that you kept commits to other heads of streams at size 17"],
        {"kept": [_note_with_other_heads()]},
    ),
    *(
        Forgery(
            f"a time that no calendar has, in a statement: {at}",
            with_leaf(STATEMENT, 1, of_column(_EVENT, recorded_at=at)),
            ["it was recorded at a time that no calendar has"],
        )
        for at in (-(2**63), 2**63 - 1)
    ),
    Forgery("rewritten: the heads of another log", _wrong_heads(rewritten(LEDGER)), [BAD_HEADS]),
]

FORGERIES: Final = [*COLUMNS_CHANGED, *EVENTS, *HEADS, *CHECKPOINTS, *ROTATION, *STATEMENTS, *SIGNED]
