"""The file of tokens: valid files, refusals with a message, and changes of the file."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.gateway.principals import digest
from api.gateway.problems import Problem
from api.gateway.tokens_file import (
    CHECK_SECONDS,
    MOST_BYTES,
    MOST_NAME,
    SETTLED_NS,
    PrincipalsFile,
    TokensError,
    _Version,
)
from domain.kernel import Principal

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
START_NS = int(START.timestamp()) * 10**9


class Clocks:
    """The clocks for a file of tokens, which tests set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def check_again(self) -> None:
        """Let time pass until the file is checked again."""
        self.seconds += CHECK_SECONDS


class File:
    """A file of tokens, and the tokens that an API reads from it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.json"
        self.written = 0  # times
        self.clocks = Clocks()

    def write(self, *entries: Any, mode: int = 0o600) -> None:
        self.write_text(json.dumps(entries), mode=mode)

    def write_text(self, text: str, *, mode: int = 0o600) -> None:
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(mode)
        self.written += 1
        os.utime(self.path, (self.written, self.written))  # the clock of a file system may tick every few milliseconds

    def open(self, read_at_ns: int | None = None) -> PrincipalsFile:
        """Read the file long after it was written, or at a given time."""

        def time_ns() -> int:
            return read_at_ns or os.stat(self.path).st_ctime_ns + 10 * SETTLED_NS

        return PrincipalsFile(self.path, self.clocks.now, monotonic=self.clocks.monotonic, time_ns=time_ns)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def entry(of: str = "secret", principal: Any = "shop", role: Any = "command", **more: Any) -> dict[str, Any]:
    """The entry for a token."""
    return {"sha256": digest(of).hex(), "principal": principal, "role": role, **more}


def name_of(found: Principal | Problem) -> str:
    """The name of a principal, or the code of a problem."""
    return found.id if isinstance(found, Principal) else found.code


def test_a_token_is_found_by_its_digest(file: File) -> None:
    file.write(entry(), entry("other", "x" * MOST_NAME, "audit"), entry("third", "Pay roll!", "report"))
    principals = file.open()
    assert principals.find(digest("secret")) == Principal("shop", ("command",))
    assert principals.find(digest("other")) == Principal("x" * MOST_NAME, ("audit",))
    assert principals.find(digest("third")) == Principal("Pay roll!", ("report",))
    assert name_of(principals.find(digest("else"))) == "unauthenticated"


def test_a_token_is_of_a_person(file: File) -> None:
    ada = {"principal": "ada", "person": "prsn_1"}
    file.write(entry(role="customer", **ada), entry("other", role="report", **ada))
    principals = file.open()
    assert principals.find(digest("secret")) == Principal("ada", ("customer",), person="prsn_1")
    assert principals.named("ada") == Principal("ada", ("report", "customer"), person="prsn_1")


@pytest.mark.parametrize("expires", ["2026-06-01T12:00:05Z", "2026-06-01T14:00:05+02:00", "2026-06-01T12:00:05.0Z"])
def test_a_token_expires_to_the_second(file: File, expires: str) -> None:
    file.write(entry(expires=expires))
    principals = file.open()
    file.clocks.seconds = 4.9
    assert name_of(principals.find(digest("secret"))) == "shop"
    file.clocks.seconds = 5
    found = principals.find(digest("secret"))
    assert isinstance(found, Problem)
    assert (found.code, found.detail) == (
        "token_expired",
        "This token of shop expired at 2026-06-01T12:00:05+00:00; send a newer one.",
    )


REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "is not JSON: "),
    "no UTF-8": ('["\udcff"]', "is not JSON in UTF-8"),
    "no list": ("{}", "is not a JSON list"),
    "nothing": ("[]", "holds no token: nobody could use the API"),
    "no object": ("[1]", "entry 1 is not an object"),
    "a member twice": ('[{"role": "audit", "role": "operator"}]', "an object has a member twice"),
    "too large": (" " * (MOST_BYTES + 1), f"is larger than {MOST_BYTES} bytes"),
    "too deep": ("[" * 100_000, "is not JSON in UTF-8"),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_file_without_a_list_of_entries_is_refused(file: File, content: str, sentence: str) -> None:
    file.path.write_bytes(content.encode("utf-8", "surrogateescape"))
    file.path.chmod(0o600)
    refused_with(file, sentence)


ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown member": (entry(expire="2026-06-01T12:00:05Z"), "has the member 'expire'; there are sha256, principal"),
    "no digest": ({"principal": "a", "role": "audit"}, "has no sha256"),
    "no principal": ({"sha256": digest("a").hex(), "role": "audit"}, "has no principal"),
    "no role": ({"sha256": digest("a").hex(), "principal": "a"}, "has no role"),
    "unknown role": (entry(role="king"), "has the role 'king'; there are command, report, audit, operator"),
    "no text as role": (entry(role=["audit"]), "has the role"),
    "short digest": (entry(sha256="00"), "has a sha256 that is not 64 hexadecimal digits"),
    "digest with spaces": (entry(sha256="00 " * 32), "has a sha256 that is not 64 hexadecimal digits"),
    "no text as digest": (entry(sha256=7), "has a sha256 that is not 64 hexadecimal digits"),
    "empty token": (entry(""), "has the sha256 of the empty token"),
    "customer without person": (
        entry(role="customer"),
        "has the role 'customer' and no person; only a person can be a customer",
    ),
    "no person": (entry(person=""), "has a person that is not an id of 1 to 100 characters, such as prsn_1"),
    "no text as person": (entry(person=7), "has a person that is not an id"),
    "another person": (entry(principal="known", person="prsn_1"), "has another person than an earlier entry of known"),
    "twice": (entry("known", "other"), "has the sha256 of another entry, that of known"),
    "a system name": (entry(principal="system:daybook"), "has the principal 'system:daybook'; names that begin with"),
    "a system name in capitals": (
        entry(principal="System:x"),
        "has the principal 'System:x'; names that begin with 'system:'",
    ),
    "no name": (entry(principal=""), "has a principal that is not 1 to 100 printable"),
    "no text as name": (entry(principal=None), "has a principal that is not 1 to 100 printable"),
    "NUL": (entry(principal="\0system:daybook"), "has a principal that is not 1 to 100 printable"),
    "line end": (entry(principal="shop\n"), "has a principal that is not 1 to 100 printable"),
    "no ASCII": (entry(principal="Müller"), "has a principal that is not 1 to 100 printable"),
    "space before": (entry(principal=" shop"), "has a principal that is not 1 to 100 printable"),
    "long name": (entry(principal="x" * (MOST_NAME + 1)), "has a principal that is not 1 to 100 printable"),
    "no offset": (entry(expires="2026-06-01T12:00:05"), "has an expires that is not a time with its offset"),
    "date only": (entry(expires="2026-06-01"), "has an expires that is not a time with its offset"),
    "no such day": (entry(expires="2026-02-30T12:00:05Z"), "has an expires that is not a time with its offset"),
    "null": (entry(expires=None), "has an expires that is not a time with its offset"),
    "number": (entry(expires=1780000000), "has an expires that is not a time with its offset"),
}


@pytest.mark.parametrize(("wrong", "sentence"), ENTRIES.values(), ids=ENTRIES)
def test_a_wrong_entry_is_refused_with_its_number(file: File, wrong: dict[str, Any], sentence: str) -> None:
    file.write(entry("known", "known"), wrong)
    refused_with(file, f"entry 2 {sentence}")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666, 0o601])
def test_a_file_that_others_may_read_or_write_is_refused(file: File, mode: int) -> None:
    file.write(entry(), mode=mode)
    refused_with(file, f"has the mode {mode:04o}, with which others may read or write it: chmod 600, or 640")


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_file_that_a_group_may_read_is_accepted(file: File, mode: int) -> None:
    file.write(entry(), mode=mode)
    assert name_of(file.open().find(digest("secret"))) == "shop"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_a_path_that_is_not_a_file_is_refused_without_waiting(file: File, make: Any) -> None:
    make(file.path, stat.S_IRWXU)
    with pytest.raises((TokensError, IsADirectoryError), match=r"is not a regular file|Is a directory"):
        file.open()


def refused_with(file: File, sentence: str) -> None:
    with pytest.raises(TokensError) as refused:
        file.open()
    assert str(refused.value).startswith(f"{file.path}")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_change_is_seen_after_a_second_and_not_before(file: File, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "api")
    file.write(entry())
    principals = file.open()
    file.write(entry("new", "shop"))
    assert name_of(principals.find(digest("secret"))) == "shop"
    file.clocks.check_again()
    assert name_of(principals.find(digest("secret"))) == "unauthenticated"
    assert name_of(principals.find(digest("new"))) == "shop"
    assert caplog.messages == [f"{file.path} was read again; tokens: 1"]


def test_a_file_is_read_again_only_when_it_has_changed(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(entry())
    principals = file.open()
    monkeypatch.setattr("api.gateway.tokens_file._read", None)
    for _ in range(3):
        file.clocks.check_again()
        assert name_of(principals.find(digest("secret"))) == "shop"


def test_a_change_that_the_times_of_the_file_do_not_show_is_seen(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changes within one tick of the file clock, the second one after the first was read."""
    version = _Version(device=1, inode=1, size=1, modified=START_NS, changed=START_NS)
    monkeypatch.setattr("api.gateway.tokens_file._version", lambda _: version)
    file.write(entry("first"))
    principals = file.open(read_at_ns=START_NS + 1_000_000)
    file.write(entry("second"))
    file.clocks.check_again()
    assert name_of(principals.find(digest("second"))) == "shop"


@pytest.mark.parametrize("how", ["broken", "gone", "readable by all", "half written"])
def test_the_previous_tokens_stay_valid_while_the_file_is_wrong(
    file: File, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(entry(), entry("late", "late", expires="2026-06-01T12:00:10Z"))
    principals = file.open()
    if how == "gone":
        file.path.unlink()
    elif how == "readable by all":
        file.path.chmod(0o644)
    else:
        file.write_text("[{" if how == "broken" else json.dumps([entry(), entry("more", "more")])[:-1])
    for _ in range(4):
        file.clocks.check_again()
        assert name_of(principals.find(digest("secret"))) == "shop"
    assert len(caplog.messages) == 1, "the message comes once"
    assert str(file.path) in caplog.messages[0]
    assert caplog.messages[0].endswith("; the tokens that were read before stay valid")
    file.clocks.seconds = 10
    assert name_of(principals.find(digest("late"))) == "token_expired", "previous tokens still expire"
    file.write(entry("new", "new"))
    file.clocks.check_again()
    assert name_of(principals.find(digest("secret"))) == "unauthenticated"
    assert name_of(principals.find(digest("new"))) == "new"


def test_the_last_token_can_be_revoked(file: File) -> None:
    file.write(entry())
    principals = file.open()
    file.write()
    file.clocks.check_again()
    assert name_of(principals.find(digest("secret"))) == "unauthenticated"


def test_a_reload_does_not_wait_and_reports_errors_each_time(file: File, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "api")
    file.write(entry())
    principals = file.open()
    file.write(entry("new", "new"))
    principals.reload()
    assert name_of(principals.find(digest("new"))) == "new"
    file.write_text("[")
    principals.reload()
    principals.reload()
    assert len(caplog.messages) == 2
    assert name_of(principals.find(digest("new"))) == "new"


def test_the_example_in_the_reference_is_accepted(file: File) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "access.md").read_text(encoding="utf-8")
    example = page.partition("```json\n")[2].partition("```")[0]
    file.write_text(example)
    [listed] = json.loads(example)
    assert file.open().find(bytes.fromhex(listed["sha256"])) == Principal("payroll", ("command",))
