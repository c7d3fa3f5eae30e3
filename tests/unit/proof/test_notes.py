"""Signed notes, checkpoints and cosignatures: the example of the specification, rotation, and what is refused."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventstore.log.leaf import leaf_hash
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint, parse_checkpoint
from eventstore.proof.cosignatures import Witness, cosign, signed_at
from eventstore.proof.merkle import EMPTY_ROOT
from eventstore.proof.notes import (
    COSIGNATURE,
    MOST_BYTES,
    Note,
    NoteError,
    Signature,
    Signer,
    Verifier,
    open_note,
    parse_note,
    parse_signer,
    parse_verifier,
    sign,
)

# The example of C2SP signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYj"
    "OBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
FIRST, SECOND = Signer("log.example/main", b"1" * 32), Signer("log.example/main", b"2" * 32)
WITNESS = Signer("witness.example/w1", b"3" * 32, COSIGNATURE)
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
HEAD = Checkpoint("log.example/main", 3, leaf_hash(b"root"))


def test_the_example_of_the_specification() -> None:
    opened = open_note(EXAMPLE.encode(), [parse_verifier(EXAMPLE_KEY)])
    assert opened.text == "This is an example message.\n"
    assert [(one.name, f"{one.id:08x}") for one in opened.verified] == [("example.com/foo", "530d903a")]
    assert str(parse_note(EXAMPLE.encode())) == EXAMPLE


def test_keys_as_text() -> None:
    assert str(parse_verifier(EXAMPLE_KEY)) == EXAMPLE_KEY
    assert parse_signer(FIRST.secret_text) == FIRST
    assert parse_verifier(str(FIRST.verifier)) == FIRST.verifier
    assert FIRST.secret_text not in repr(FIRST), "a private key is in no log"
    assert str(FIRST.seed) not in repr(FIRST)


def test_a_note_is_opened_with_any_of_several_known_keys_and_others_are_ignored() -> None:
    note = str(sign("text\n", [FIRST, SECOND])).encode()
    for known in ([FIRST], [SECOND], [SECOND, FIRST]):
        opened = open_note(note, [one.verifier for one in known])
        assert {one.id for one in opened.verified} == {one.verifier.id for one in known}
        assert len(opened.verified) + len(opened.unknown) == 2
    with pytest.raises(NoteError, match="no known key has signed the note; known are: other"):
        open_note(note, [Signer("other", b"4" * 32).verifier])
    with pytest.raises(NoteError, match="known are: none"):
        open_note(note, [])


def test_a_wrong_signature_by_a_known_key_spoils_a_note_that_another_one_signed() -> None:
    note = sign("text\n", [FIRST, SECOND])
    wrong = Signature(SECOND.name, SECOND.verifier.id, bytes(64))
    raw = str(Note(note.text, (note.signatures[0], wrong))).encode()
    with pytest.raises(NoteError, match=r"the signature by log.example/main.* is wrong: the note was changed"):
        open_note(raw, [FIRST.verifier, SECOND.verifier])
    assert len(open_note(raw, [FIRST.verifier]).verified) == 1


def test_every_changed_character_of_the_text_is_noticed() -> None:
    note = str(sign("abc\ndef\n", [FIRST]))
    for at in range(len("abc\ndef\n") - 1):
        changed = note[:at] + ("x" if note[at] != "\n" else "y") + note[at + 1 :]
        with pytest.raises(NoteError, match="is wrong"):
            open_note(changed.encode(), [FIRST.verifier])


def test_the_text_ends_at_the_last_empty_line() -> None:
    opened = open_note(str(sign("a\n\nb\n", [FIRST])).encode(), [FIRST.verifier])
    assert opened.text == "a\n\nb\n"


LINE = FIRST.sign("text\n").line


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "a note has a text, an empty line"),
        (b"text\n", "a note has a text, an empty line"),
        (b"text\n\n", "a note has a text, an empty line"),
        (f"text\n\n{LINE}"[:-1].encode(), "a note has a text, an empty line"),
        (f"text\n\n{LINE}\n".encode(), "a note has a text, an empty line"),
        (b"\xff\n\n" + LINE.encode(), "a note is UTF-8"),
        (f"te\txt\n\n{LINE}".encode(), "no control characters"),
        (b"text\n\n- name AAAAAAAA\n", "a signature is a line of an em dash"),
        ("text\n\n— na me AAAAAAAA\n".encode(), "a signature is a line of an em dash"),
        ("text\n\n— na+me AAAAAAAA\n".encode(), "no space, plus or control character"),
        ("text\n\n— na\u00a0me AAAAAAAA\n".encode(), "no space, plus or control character"),
        ("text\n\n— name AAAAA\n".encode(), "is not base64"),
        ("text\n\n— name AAAAAB==\n".encode(), "too short|only spelling"),
        ("text\n\n— name AAAAAA==\n".encode(), "is too short"),
        (b"x" * (MOST_BYTES + 1), "at most 65536 bytes, and this one has 65537"),
        (f"text\n\n{LINE * 65}".encode(), "at most 64 signatures, and this one has 65"),
    ],
)
def test_what_is_no_note_is_a_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        open_note(raw, [FIRST.verifier])


def test_at_least_sixteen_signatures_are_accepted() -> None:
    many = [Signer(f"key{number}", bytes([number]) * 32) for number in range(64)]
    note = str(sign("text\n", [*many[:63], FIRST])).encode()
    assert len(open_note(note, [FIRST.verifier]).unknown) == 63


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "text of name, id and base64"),
        ("name", "text of name, id and base64"),
        ("name+12345678", "text of name, id and base64"),
        ("name+1234567G+AQ==", "8 hexadecimal digits"),
        ("+" + EXAMPLE_KEY.split("+", 1)[1], "from 1 to 255 bytes"),
        (EXAMPLE_KEY.replace("530d903a", "530d903b"), "has the id 530d903a, not 530d903b"),
        (EXAMPLE_KEY.replace("foo", "fob"), "has the id .*, not 530d903a"),
        (EXAMPLE_KEY.replace("AekyeRrm", "Ae+yeR*m"), "is not base64"),
        (f"name+12345678+{b64encode(bytes([2]) + bytes(32)).decode()}", "of the type 02 is not known"),
        (f"name+12345678+{b64encode(bytes([1]) + bytes(31)).decode()}", "has 32 bytes, not 31"),
        (f"name+12345678+{b64encode(bytes([1]) + bytes(57)).decode()}", "has 32 bytes, not 57"),
        ("n" * 400, "this is too long"),
    ],
)
def test_what_is_no_key_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        parse_verifier(text)
    with pytest.raises(NoteError) as refused:
        parse_signer(f"PRIVATE+KEY+{text}")
    assert text[-10:] not in str(refused.value) or len(text) < 20, "a private key is in no message"


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x07b", "n" * 256])
def test_names_of_keys(name: str) -> None:
    with pytest.raises(NoteError, match="the name of a key"):
        Verifier(name, bytes(32))


@pytest.mark.parametrize(("text", "sentence"), [("text", "ends with a newline"), ("a\r\n", "no control characters")])
def test_texts_that_are_not_signed(text: str, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        sign(text, [FIRST])


# Checkpoints


def test_a_checkpoint_is_signed_and_opened() -> None:
    head = Checkpoint("log.example/main", 3, leaf_hash(b"root"), ("heads 2 abc",))
    note = str(head.sign([FIRST]))
    assert note.startswith("log.example/main\n3\n")
    opened = open_checkpoint(note.encode(), "log.example/main", [FIRST.verifier])
    assert opened.checkpoint == head
    assert parse_checkpoint(head.text) == head


def test_a_head_that_was_signed_before_a_rotation_is_still_opened() -> None:
    before, during, after = (str(HEAD.sign(keys)).encode() for keys in ([FIRST], [SECOND, FIRST], [SECOND]))
    both = [FIRST.verifier, SECOND.verifier]
    assert all(open_checkpoint(raw, HEAD.origin, both).checkpoint == HEAD for raw in (before, during, after))
    assert open_checkpoint(during, HEAD.origin, [FIRST.verifier]).checkpoint == HEAD
    with pytest.raises(NoteError, match="no known key has signed"):
        open_checkpoint(after, HEAD.origin, [FIRST.verifier])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    with pytest.raises(NoteError, match=r"is of the log 'log.example/main', not of 'log.example/other'"):
        open_checkpoint(str(HEAD.sign([FIRST])).encode(), "log.example/other", [FIRST.verifier])


ROOT = b64encode(HEAD.root).decode()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "ends with a newline"),
        ("origin\n", "the lines origin, size and root, and this one has 1"),
        ("origin\n1\n", "and this one has 2"),
        (f"\n1\n{ROOT}\n", "the origin of a checkpoint is not empty"),
        (f"origin\n01\n{ROOT}\n", "without leading zeros, not '01'"),
        (f"origin\n-1\n{ROOT}\n", "without leading zeros, not '-1'"),
        (f"origin\n٣\n{ROOT}\n", "without leading zeros"),
        (f"origin\n9223372036854775808\n{ROOT}\n", "from 0 to 9223372036854775807 leaves"),
        (f"origin\n{'9' * 10_000}\n{ROOT}\n", "without leading zeros"),
        ("origin\n1\nAAAA\n", "has 32 bytes, not 3"),
        ("origin\n1\n****\n", "is not base64"),
        (f"origin\n0\n{ROOT}\n", "that of the empty tree"),
        (f"origin\n1\n{ROOT}\n\n", "an extension line of a checkpoint is not empty"),
        (f"origin\n1\n{ROOT}\n" + "x\n" * 17, "at most 16 extension lines"),
        (f"{'o' * 1_001}\n1\n{ROOT}\n", "at most 1000 characters, not 1001"),
    ],
)
def test_what_is_no_checkpoint_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        parse_checkpoint(text)


@pytest.mark.parametrize("line", ["a\nb", "a\rb", "a\x00b", "a\u2028b"])
def test_an_origin_and_an_extension_are_one_line(line: str) -> None:
    with pytest.raises(NoteError, match="the origin of a checkpoint has no newline"):
        Checkpoint(line, 0, EMPTY_ROOT)
    with pytest.raises(NoteError, match="an extension line of a checkpoint has no newline"):
        Checkpoint("origin", 0, EMPTY_ROOT, (line,))


# Cosignatures


def test_a_witness_cosigns_a_checkpoint_at_a_time() -> None:
    note = HEAD.sign([FIRST])
    cosigned = Note(note.text, (*note.signatures, cosign(WITNESS, note.text, AT)))
    witness = Witness(parse_verifier(str(WITNESS.verifier)))
    opened = open_checkpoint(str(cosigned).encode(), HEAD.origin, [FIRST.verifier, witness])
    assert [one.name for one in opened.note.verified] == ["log.example/main", "witness.example/w1"]
    assert signed_at(opened.note.verified[1]) == AT


def test_the_time_and_the_text_are_signed() -> None:
    witness = Witness(WITNESS.verifier)
    signature = cosign(WITNESS, HEAD.text, AT).signature
    assert witness.verifies(HEAD.text, signature)
    assert not witness.verifies(HEAD.text.replace("3", "4", 1), signature)
    later = int((AT + timedelta(seconds=1)).timestamp()).to_bytes(8, "big")
    assert not witness.verifies(HEAD.text, later + signature[8:])
    assert not witness.verifies(HEAD.text, signature[:7])
    assert not witness.verifies(HEAD.text, b"\xff" * 8 + signature[8:])


def test_a_key_is_for_one_type_of_signatures() -> None:
    """The same key as a log's and as a witness's has two ids, and neither takes the other's signatures."""
    log = Signer(WITNESS.name, WITNESS.seed)
    assert log.verifier.id != WITNESS.verifier.id
    with pytest.raises(NoteError, match="is no key of a witness"):
        Witness(log.verifier)
    with pytest.raises(NoteError, match="is no key of a witness"):
        cosign(log, HEAD.text, AT)
    assert not WITNESS.verifier.verifies(HEAD.text, log.sign(HEAD.text).signature)


def test_only_checkpoints_are_cosigned() -> None:
    with pytest.raises(NoteError, match="the lines origin, size and root"):
        cosign(WITNESS, "text\n", AT)


@pytest.mark.parametrize(
    ("signature", "sentence"), [(b"short", "too short for a cosignature"), (b"\x7f" + bytes(71), "after the year 9999")]
)
def test_times_that_cannot_be(signature: bytes, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        signed_at(Signature("witness", 1, signature))


def test_a_message_is_that_of_the_specification() -> None:
    message: list[Any] = []

    class Recording:
        name, type, verifier = WITNESS.name, COSIGNATURE, WITNESS.verifier

        def signature_of(self, signed: bytes) -> bytes:
            message.append(signed)
            return bytes(64)

    cosign(Recording(), HEAD.text, datetime.fromtimestamp(1679315147, UTC))  # type: ignore[arg-type]
    assert message == [b"cosignature/v1\ntime 1679315147\n" + HEAD.text.encode()]
