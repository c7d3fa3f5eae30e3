"""What is no bundle is refused by one sentence that names the line, and nothing is said to hold."""

from __future__ import annotations

import gzip
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from eventstore.log.leaf import command_record, leaf
from eventstore.proof.notes import COSIGNATURE, Signer
from tests.support.bundles import (
    NEW_SIGNER,
    ORIGIN,
    SIGNER,
    WITNESS,
    Bundles,
    Line,
    b64,
    encode,
    leaf_lines,
    raw_leaf,
    small_ledger,
    verified_bytes,
)
from tests.unit.verifier.forgeries import edited
from workers import daybook_verify
from workers.daybook_verify import MOST_LINE_BYTES, MOST_UNIT, Records, Report, parse_record

LEDGER: Final = small_ledger()
TRUE: Final = Bundles(LEDGER, sizes=(3, 10))
LOG, STREAM, EVENT = TRUE.log(), TRUE.stream("acct_a"), TRUE.event(5)
STATEMENT, COMMAND = TRUE.statement("acct_a", "2026-12-01", "2026-12-31"), TRUE.command("ada", "too-much")
KEY, WITNESS_KEY, NOTE, PROOF = 1, 2, 3, 6
"""Places of lines of each bundle."""
FIRST_LEAF: Final = leaf_lines(LOG)[0]
VERIFIER: Final = str(SIGNER.verifier)


def _with(lines: list[Line], place: int, **members: Any) -> bytes:
    """The file of lines in which a line has other members: of its only member, or of the header."""

    def change(copy: list[Line]) -> None:
        line = copy[place]
        body = line if place == 0 else next(iter(line.values()))
        body.update({name.rstrip("_"): value for name, value in members.items()})

    return encode(edited(lines, change))


def _without(lines: list[Line], place: int, name: str) -> bytes:
    def change(copy: list[Line]) -> None:
        line = copy[place]
        del (line if place == 0 else next(iter(line.values())))[name]

    return encode(edited(lines, change))


def _line(lines: list[Line], place: int, raw: bytes) -> bytes:
    """The file in which a line is these bytes."""
    encoded = encode(lines).splitlines(keepends=True)
    encoded[place] = raw + b"\n"
    return b"".join(encoded)


def _insert(lines: list[Line], place: int, line: Any) -> bytes:
    return encode(edited(lines, lambda copy: copy.insert(place, line)))


def _remove(lines: list[Line], place: int) -> bytes:
    return encode(edited(lines, lambda copy: copy.remove(copy[place])))


def _note(change: Callable[[str], str]) -> bytes:
    return _with(LOG, NOTE, note=change(LOG[NOTE]["checkpoint"]["note"]))


def _item(**members: Any) -> bytes:
    return encode(edited(STATEMENT, lambda copy: copy[-1]["statement"].update(members)))


def _third(note: str, root: str) -> str:
    """The note with another root."""
    lines = note.split("\n")
    return "\n".join([*lines[:2], root, *lines[3:]])


def _replaced(record: str) -> str:
    """A record with another UUID of the log."""
    raw = b64decode(record)
    return b64(raw[:5] + bytes(16) + raw[21:])


ENCODED: Final = encode(LOG)
LEAF: Final = raw_leaf(LOG[FIRST_LEAF])
RECORD: Final = next(place for place, line in enumerate(LOG) if "record" in line)
BAD: Final[dict[str, tuple[bytes, str]]] = {
    # The file
    "nothing": (b"", "line 1: .*last line of the bundle is missing"),
    "no JSON": (b"hello\n", "line 1: the line cannot be read: it is not JSON"),
    "no UTF-8": (b"\xff\n", "line 1: .*not UTF-8"),
    "a list": (b"[]\n", "line 1: this is not a bundle"),
    "a number": (b"1\n", "line 1: this is not a bundle"),
    "another format": (b'{"format":"x"}\n', "line 1: this is not a bundle"),
    "a line that is too long": (b'{"a":"' + b"x" * MOST_LINE_BYTES, "line 1: a line has at most 16,777,216 bytes"),
    "a long line later": (_line(LOG, FIRST_LEAF, b"x" * MOST_LINE_BYTES), "a line has at most 16,777,216 bytes"),
    "a cut line": (ENCODED[:-30], "the file ends within a line: it was cut"),
    "no newline at its end": (ENCODED[:-1], "the file ends within a line: it was cut"),
    "no end": (b"".join(ENCODED.splitlines(keepends=True)[:-1]), "the last line of the bundle is missing: it was cut"),
    "more after its end": (ENCODED + encode(LOG[:0]), "a line follows the end"),
    "a wrong number of lines": (
        ENCODED.replace(b'"lines":3', b'"lines":4'),
        "the end says 4. lines before it, and there",
    ),
    "an empty line": (_line(LOG, FIRST_LEAF, b""), "line 10: the line cannot be read: it is not JSON"),
    "two values in a line": (_line(LOG, FIRST_LEAF, b"{} {}"), "something follows at character 3"),
    "deep JSON": (_line(LOG, FIRST_LEAF, b"[" * 100_000), "its JSON is nested too deeply"),
    "a float": (_line(LOG, 0, b'{"format":"daybook.bundle","version":1.0}'), "1.0 is not an integer"),
    "NaN": (_line(LOG, 0, b'{"version":NaN}'), "NaN is not an integer"),
    "a huge number": (_line(LOG, 0, b'{"version":%b}' % (b"9" * 10_000)), "line 1: the line cannot be read"),
    "a member twice": (_line(LOG, 0, b'{"version":1,"version":1}'), "two members of the same name"),
    "gzip that was cut": (gzip.compress(ENCODED)[:-40], "the compressed file was cut or changed"),
    "gzip with a wrong sum": (gzip.compress(ENCODED)[:-8] + bytes(8), "the compressed file was cut or changed"),
    "gzip of nothing": (b"\x1f\x8b", "the compressed file was cut or changed"),
    "gzip with a wrong head": (b"\x1f\x8b\xff\xff", "the compressed file was cut or changed"),
    # The header
    "another version": (_with(LOG, 0, version=2), "line 1: the bundle is of version 2, and this program knows 1"),
    "a version that is no number": (_with(LOG, 0, version=True), "the bundle is of version True"),
    "another kind": (_with(LOG, 0, kind="book"), "of the kind 'book', which this program does not know"),
    "a kind that is a list": (_with(LOG, 0, kind=[]), "of the kind '\\[\\]', which"),
    "an unknown member": (_with(LOG, 0, colour="red"), "the header has the member 'colour', which this program does"),
    "a missing member": (_without(LOG, 0, "size"), "the header has no member 'size'"),
    "a stream that is missing": (_without(STREAM, 0, "stream"), "the header has no member 'stream'"),
    "a position that is a text": (_with(EVENT, 0, position="5"), "position of the header is not an integer"),
    "a negative size": (_with(LOG, 0, size=-1), "the size of the header is not between 0"),
    "a size of too many bits": (_with(LOG, 0, size=2**63), "the size of the header is not between 0"),
    "another size": (_with(LOG, 0, size=16), "line 9: the last checkpoint is of size 17, and the header says 16"),
    "a log that is no UUID": (_with(LOG, 0, log="main"), "the log of the header is not a UUID"),
    "a UUID in another spelling": (_with(LOG, 0, log=str(LEDGER.log).upper()), "not a UUID in its only spelling"),
    "an origin with a newline": (_with(LOG, 0, origin="a\nb"), "has a space, a plus or a control character: 'a.nb'"),
    "an origin that is empty": (_with(LOG, 0, origin=""), "does not have from 1 to 255 bytes"),
    "half a character": (
        _line(LOG, 0, encode([LOG[0]]).splitlines()[0].replace(b"ledger.", b"\\ud800")),
        "half a char",
    ),
    # Kinds and their order
    "a line without a kind": (_line(LOG, KEY, b"{}"), "line 2: the line is not an object with one member"),
    "a line with two kinds": (_line(LOG, KEY, b'{"key":1,"leaf":2}'), "the line is not an object with one member"),
    "an unknown kind": (_insert(LOG, 1, {"song": {}}), "line 2: the kind 'song' is not known"),
    "a key after the leaves": (_insert(LOG, len(LOG), LOG[KEY]), "a line of the kind key stands too late"),
    "no key": (_remove(LOG, KEY), "line 8: the bundle has no key"),
    "no checkpoint": (encode([LOG[0], LOG[KEY]]), "the bundle has no checkpoint"),
    "a consistency proof missing": (
        _remove(LOG, PROOF),
        "line 7: there are no neighbouring checkpoints of the sizes 10",
    ),
    "the last proof missing": (_remove(LOG, PROOF + 1), "3 checkpoints need 2 consistency proofs, and there are 1"),
    "a proof too many": (
        _insert(LOG, PROOF, LOG[PROOF]),
        "there are no neighbouring checkpoints of the sizes 3 and 10",
    ),
    "a record in a stream": (_insert(STREAM, 8, LOG[RECORD]), "a bundle of the kind stream has no records"),
    "a head in a log": (_insert(LOG, len(LOG), STREAM[-1]), "a bundle of the kind log has no heads"),
    "a second head": (_insert(STREAM, len(STREAM), STREAM[-1]), "a second head of the stream"),
    "a head of another stream": (_with(STREAM, -1, stream="acct_b"), "the head is of another stream"),
    "a statement in a stream": (_insert(STREAM, len(STREAM), STATEMENT[-1]), "of the kind stream has no statement"),
    "a second statement": (_insert(STATEMENT, len(STATEMENT), STATEMENT[-1]), "a second statement"),
    "no statement": (_remove(STATEMENT, -1), "the bundle has no statement"),
    # Keys
    "a key that is a number": (_with(LOG, KEY, verifier=1), "line 2: the key is not a text"),
    "a key without an id": (_with(LOG, KEY, verifier="x"), "the key is not of the form name.id.base64"),
    "a key with a wrong id": (_with(LOG, KEY, verifier=VERIFIER.replace("+", "+0", 1)[:-1]), "not of the form|the id"),
    "a key with a changed character": (
        _with(LOG, KEY, verifier=f"{ORIGIN}+00000000+{VERIFIER[-44:]}"),
        "the id 00000000",
    ),
    "a key of another curve": (
        _with(LOG, KEY, verifier=f"{ORIGIN}+00000000+{b64(bytes([2]) + bytes(91))}"),
        "the type 02; only 01 of Ed25519",
    ),
    "a key of another length": (
        _with(LOG, KEY, verifier=f"{ORIGIN}+00000000+{b64(bytes([1]) + bytes(57))}"),
        "57 bytes",
    ),
    "a key of no bytes": (_with(LOG, KEY, verifier=f"{ORIGIN}+00000000+"), "not of the form"),
    "a key that is no base64": (_with(LOG, KEY, verifier=f"{ORIGIN}+00000000+%%"), "the key is not base64"),
    "the key of another log": (
        _with(LOG, KEY, verifier=str(Signer("else.example", b"e" * 32).verifier)),
        "the key is of 'else.example'",
    ),
    "the key of a witness as that of the log": (
        _with(LOG, KEY, verifier=str(WITNESS.verifier)),
        "the type 04; only 01",
    ),
    "the key of the log as a witness": (_with(LOG, WITNESS_KEY, verifier=VERIFIER), "the type 01; only 04"),
    "a key twice": (_insert(LOG, KEY, LOG[KEY]), "line 3: the key .* is there twice"),
    "a witness twice": (_insert(LOG, WITNESS_KEY, LOG[WITNESS_KEY]), "line 4: the witness .* is there twice"),
    "keys in another order": (
        _insert(LOG, KEY, {"key": {"verifier": str(NEW_SIGNER.verifier), "since": "2026-11-30T12:00:00Z", "size": 9}}),
        "line 3: the keys are not in order",
    ),
    "a key since no time": (_with(LOG, KEY, since="yesterday"), "the time of the key is not a time"),
    "a key since a time without offset": (_with(LOG, KEY, since="2026-11-30T12:00:00"), "the time of the key is not"),
    "too many keys": (
        encode(
            [
                LOG[0],
                *(
                    {
                        "key": {
                            "verifier": str(Signer(ORIGIN, bytes([n]) * 32).verifier),
                            "since": "2026-11-30T12:00:00Z",
                            "size": 0,
                        }
                    }
                    for n in range(101)
                ),
            ]
        ),
        "line 102: a bundle has at most 100 keys",
    ),
    "too many witnesses": (
        encode(
            [
                *LOG[:2],
                *(
                    {"witness": {"verifier": str(Signer("w.example", bytes([n]) * 32, COSIGNATURE).verifier)}}
                    for n in range(101)
                ),
            ]
        ),
        "a bundle has at most 100 witnesses",
    ),
    # Checkpoints
    "a note without signatures": (
        _note(lambda note: note.split("\n\n")[0] + "\n"),
        "line 4: a note has a text, an empty",
    ),
    "a note with an empty line too many": (_note(lambda note: note + "\n"), "a note has a text, an empty line"),
    "a note that is too long": (_note(lambda note: "x" * 70_000 + note), "a note has at most 65536 bytes"),
    "a note with too many signatures": (
        _note(lambda note: note + (note.splitlines()[-1] + "\n") * 64),
        "at most 64 signatures",
    ),
    "a signature that is none": (
        _note(lambda note: note.replace("— l", "- l")),
        "a signature is not a line of an em dash",
    ),
    "a signature that is short": (_note(lambda note: note + "— x AAAA\n"), "a signature is too short"),
    "a signature by nobody": (
        _note(lambda note: note + "— a+b AAAAAAAA\n"),
        "the name of a signature has a space, a plus",
    ),
    "a checkpoint of two lines": (_note(lambda note: "a\nb\n\n" + note.split("\n\n")[1]), "and this one has 2"),
    "an origin with a carriage return": (_note(lambda note: note.replace(ORIGIN, "a\rb", 1)), "printable characters"),
    "a checkpoint of another log": (_note(lambda note: note.replace(ORIGIN, "else", 1)), "is of the log 'else'"),
    "an origin of two lines": (
        _note(lambda note: note.replace(ORIGIN, f"{ORIGIN}\nx", 1)),
        "not a number of leaves: 'x'",
    ),
    "a size with a zero before it": (_note(lambda note: note.replace("\n3\n", "\n03\n")), "not a number of leaves"),
    "a size of too many digits": (
        _note(lambda note: note.replace("\n3\n", "\n9999999999999999999\n")),
        "not a number of",
    ),
    "a root that is short": (_note(lambda note: _third(note, b64(bytes(31)))), "the root of a checkpoint has 31 bytes"),
    "a root that is no base64": (_note(lambda note: _third(note, "%")), "the root of a checkpoint is not base64"),
    "a root of nothing that is another": (
        _note(lambda note: note.replace("\n3\n", "\n0\n")),
        "the root of no leaves is not that of the empty tree",
    ),
    "too many extension lines": (_note(lambda note: note.replace("\n\n", "\nx" * 16 + "\n\n")), "at most 16 extension"),
    "two roots of heads": (
        encode(
            edited(
                STREAM,
                lambda copy: copy[5]["checkpoint"].update(
                    note=copy[5]["checkpoint"]["note"].replace("\n\n", "\ndaybook.heads.v1 1 x\n\n")
                ),
            )
        ),
        "line 6: a checkpoint has one extension line",
    ),
    "checkpoints in another order": (
        encode(edited(LOG, lambda copy: copy.insert(NOTE, copy.pop(NOTE + 1)))),
        "not in order of their sizes",
    ),
    "a checkpoint twice": (_insert(LOG, NOTE, LOG[NOTE]), "the checkpoint of size 3 is there twice"),
    "two checkpoints of one size": (
        _insert(LOG, NOTE, {"checkpoint": {"note": _third(TRUE.note(3), b64(bytes(32)))}}),
        "two checkpoints of size 3 with different roots: a fork",
    ),
    # Proofs
    "a proof that is no list": (_with(LOG, PROOF, proof={}), "line 7: the proof is not a list"),
    "a hash that is short": (_with(LOG, PROOF, proof=[b64(bytes(31))]), "a hash that does not have 32 bytes"),
    "a proof that is too long": (
        _with(LOG, PROOF, proof=[b64(bytes(32))] * 65),
        "the proof has 65 hashes, and no proof has more than 64",
    ),
    "a hash that is a number": (_with(LOG, PROOF, proof=[1]), "a hash of the proof is not a text"),
    "a proof from other sizes": (_with(LOG, PROOF, from_=2), "no neighbouring checkpoints of the sizes 2 and 10"),
    # Leaves and records
    "a leaf that is no base64": (_with(LOG, FIRST_LEAF, bytes="###"), "line 10: the leaf is not base64"),
    "base64 without padding": (_with(LOG, FIRST_LEAF, bytes=b64(b"1234").rstrip("=")), "the leaf is not base64"),
    "base64 with a line break": (_with(LOG, FIRST_LEAF, bytes="AAAA\nAAAA"), "the leaf is not base64"),
    "base64 in another spelling": (_with(LOG, FIRST_LEAF, bytes="AAB="), "the leaf is not base64 in its only spelling"),
    "base64 that is not ASCII": (_with(LOG, FIRST_LEAF, bytes="ÄÄÄÄ"), "the leaf is not base64"),
    "a leaf of nothing": (_with(LOG, FIRST_LEAF, bytes=""), "its bytes are not a canonical leaf"),
    "a leaf that was cut": (_with(LOG, FIRST_LEAF, bytes=b64(LEAF[:-1])), "its bytes are not a canonical leaf"),
    "a leaf with more": (_with(LOG, FIRST_LEAF, bytes=b64(LEAF + b"1")), "its bytes are not a canonical leaf"),
    "a leaf of another version": (_with(LOG, FIRST_LEAF, bytes=b64(b"\2" + LEAF[1:])), "a canonical leaf of version 1"),
    "a leaf with NULL": (_with(LOG, FIRST_LEAF, bytes=b64(LEAF[:1] + b"\xff" * 4 + LEAF[5:])), "canonical leaf"),
    "a leaf of another log": (
        _with(LOG, FIRST_LEAF, bytes=b64(LEAF[:5] + bytes(16) + LEAF[21:])),
        "is of the log 00000000-0000-0000-0000",
    ),
    "a stream that is not UTF-8": (
        _with(LOG, FIRST_LEAF, bytes=b64(LEAF.replace(b"acct_a", b"acct_\xff", 1))),
        "its bytes are not a canonical leaf",
    ),
    "a leaf with a proof in a log": (_with(LOG, FIRST_LEAF, proof=[]), "the leaf has the member 'proof'"),
    "a stream with a long name": (
        _with(LOG, FIRST_LEAF, bytes=b64(leaf(LEDGER.log, replace(LEDGER.events[0], stream="x" * 1_001), []))),
        "the stream or the type of the leaf has more than 1000 characters",
    ),
    "a record with a long key": (
        _with(LOG, RECORD, bytes=b64(command_record(LEDGER.log, replace(LEDGER.commands[0], key="x" * 1_001)))),
        "the actor, the key or the rule of the record has more than 1000 characters",
    ),
    "a leaf without a proof": (_without(EVENT, -1, "proof"), "the leaf has no member 'proof'"),
    "a record that is no record": (_with(LOG, RECORD, bytes=b64(LEAF)), "its bytes are not a record of a command"),
    "a record of nothing": (_with(LOG, RECORD, bytes=""), "its bytes are not a record of a command"),
    "a record of another log": (
        _with(LOG, RECORD, bytes=_replaced(LOG[RECORD]["record"]["bytes"])),
        "the record is of another log",
    ),
    "records without end": (
        encode([*LOG[:RECORD], *[LOG[RECORD]] * 101, *LOG[RECORD:]]),
        "more than 100 records of commands come before",
    ),
    # Statements
    "a statement that is a list": (_line(STATEMENT, len(STATEMENT) - 1, b'{"statement":[]}'), "is not an object"),
    "a statement without lines": (_without(STATEMENT, -1, "items"), "the statement has no member 'items'"),
    "lines that are texts": (_item(items=["x"]), "the items of the statement are not a list of objects"),
    "a statement of another account": (_item(account="acct_b"), "of another account than 'acct_a'"),
    "a period that is none": (_item(to="2026-11-30"), "the period of the statement is not two days in order"),
    "a day that is none": (_item(to="2026-12-32"), "the period of the statement is not two days in order"),
    "another order": (_item(by="colour"), "neither by booking nor by value"),
    "no position": (_item(as_of="now"), "the as_of of the statement is not a position"),
    "a currency that is a number": (_item(currency=978), "the currency of the statement is not a text"),
    # Its head
    "a head with a negative version": (_with(STREAM, -1, version=-1), "its version is not between 0"),
    "a head with a huge place": (_with(STREAM, -1, index=2**63), "its index is not between 0"),
    "an end that is no number": (
        _line(LOG, len(LOG), b'{"end":{"lines":"x"}}'),
        "the number of lines is not an integer",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    raw, says = BAD[name]
    report = verified_bytes(raw)
    assert report.malformed is not None
    assert re.search(says, str(report.malformed)), str(report.malformed)
    assert report.malformed.line is not None
    shown = list(report.as_text())
    assert not any(line in ("holds:", "could not check:") for line in shown)
    assert shown[-1].startswith("This bundle does not have the format of one")
    assert "\n" not in str(report.malformed)


def test_many_bytes_of_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daybook_verify, "MOST_NOTES_BYTES", 1_000)
    report = verified_bytes(ENCODED)
    assert report.malformed is not None
    assert report.malformed.what == "the checkpoints of a bundle have at most 1,000 bytes"


def test_long_names_in_entries() -> None:
    """They are kept until their unit ends."""
    ledger = LEDGER.copy()
    ledger.transfer("acct_a", "acct_b", 1, currency="x" * 1_001)
    report = verified_bytes(encode(Bundles(ledger).log()))
    assert "currency has more than 1000 characters" in str(report.findings[0])


def test_results_of_records_that_wait_are_not_kept() -> None:
    records = Records(Report())
    record = parse_record(b64decode(LOG[RECORD]["record"]["bytes"]), LEDGER.log.bytes)
    for line in range(3):
        records.take(record, line)
    assert [bool(waiting.result) for waiting, _ in records.waiting] == [True, False, False]


def test_a_unit_without_end() -> None:
    endless = LEDGER.copy()
    events = [("acct_a", "account.frozen.v1", {"owner": "ada"})] * (MOST_UNIT + 1)
    endless.unit("endless", events)
    report = verified_bytes(encode(Bundles(endless, witnesses=()).log()))
    assert report.malformed is not None
    assert report.malformed.what == "a unit has more than 10000 events"


def test_true_ones_hold() -> None:
    """So each refusal comes from what the table changed."""
    assert all(verified_bytes(encode(lines)).ok for lines in (LOG, STREAM, EVENT, STATEMENT, COMMAND))
    assert verified_bytes(gzip.compress(ENCODED)).ok
