"""The command `daybook-verify`: one file that needs nothing of Daybook, its options, answers and exit codes."""

from __future__ import annotations

import ast
import gzip
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from eventstore.proof.notes import COSIGNATURE, Signer
from tests.support.bundles import NEW_SIGNER, SIGNER, WITNESS, Bundles, encode, small_ledger
from workers import daybook_verify
from workers.daybook_verify import main

FILE: Final = Path(daybook_verify.__file__)
BUNDLES: Final = Bundles(small_ledger(), sizes=(3, 10))
KEY: Final = str(SIGNER.verifier)
NOW: Final = ("--now", "2026-12-24T00:00:00Z")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_bytes(encode(BUNDLES.log()))
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept.txt"
    path.write_text(BUNDLES.note(5), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


# The file


def test_imports_only_the_standard_library_and_cryptography() -> None:
    imported = set[str]()
    for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_runs_alone(bundle: Path, tmp_path: Path) -> None:
    """Isolated, in an empty folder, from a copy: nothing of Daybook can be imported."""
    copy = tmp_path / "elsewhere" / "daybook_verify.py"
    copy.parent.mkdir()
    copy.write_bytes(FILE.read_bytes())
    command = [sys.executable, "-I", str(copy), str(bundle), "--key", KEY, *NOW]
    done = subprocess.run(command, cwd=copy.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Everything that could be checked holds.\n")
    with bundle.open("rb") as file:
        piped = subprocess.run(
            [*command[:3], "-", *NOW], stdin=file, cwd=copy.parent, capture_output=True, text=True, check=False
        )
    assert piped.returncode == 0


# Its answers


def test_what_holds(capsys: pytest.CaptureFixture[str], bundle: Path, kept: Path) -> None:
    code, shown, _ = run(
        capsys, bundle, "--key", KEY, "--kept", kept, "--witness", WITNESS.verifier, "--witnesses", 1, *NOW
    )  # fmt: skip
    assert code == 0
    lines = shown.splitlines()
    assert lines[0] == "bundle of the kind log: log ledger.example/main, up to position 17"
    assert lines[1] == "holds:"
    assert any(line.split("  ")[1:] and line.endswith("17 events") for line in lines)
    assert lines[-1] == "Everything that could be checked holds."


def test_what_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "forged.jsonl"
    path.write_bytes(encode(Bundles(small_ledger().change(5, version=3), witnesses=()).log()))
    code, shown, _ = run(capsys, path, "--key", KEY, *NOW)
    assert code == 1
    assert "wrong:\n  position 5: version 3 of its stream comes" in shown
    assert shown.splitlines()[-1].startswith("This bundle does not hold:")


def test_many_findings_are_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "forged.jsonl"
    lines = BUNDLES.log()
    path.write_bytes(encode([line for line in lines if "record" not in line]))
    code, shown, _ = run(capsys, path, "--now", "2026-01-01T00:00:00Z")
    assert code == 1
    assert "  and 7 more of the same kinds" in shown  # of 17 events in the future, 10 are shown
    assert "does not hold: 3" in shown


def test_json(capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path) -> None:
    code, shown, _ = run(capsys, bundle, "--json", "--key", KEY, *NOW)
    report = json.loads(shown)
    assert code == 0
    assert report["ok"] is True
    assert report["bundle"]["size"] == 17
    assert report["findings"] == []
    assert report["checks"][0] == {
        "name": "checkpoints are signed by keys that you trust",
        "counted": "checkpoints",
        "covered": 3,
        "offences": 0,
        "ok": True,
    }
    assert len(report["not_checked"]) > 2
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(bundle.read_bytes()[:-40])
    code, shown, _ = run(capsys, cut, "--json", *NOW)
    report = json.loads(shown)
    assert code == 1
    assert (report["ok"], report["checks"], report["not_checked"]) == (False, [], [])
    assert report["findings"][0]["sentence"].endswith("it was cut")


def test_compressed_and_piped(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(bundle.read_bytes()))
    assert run(capsys, path, *NOW)[0] == 0
    piped = io.TextIOWrapper(io.BufferedReader(io.BytesIO(path.read_bytes())))
    monkeypatch.setattr(sys, "stdin", piped)
    assert run(capsys, "-", *NOW)[0] == 0


def test_the_head_is_kept_if_all_holds(capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.txt"
    assert run(capsys, bundle, "--key", NEW_SIGNER.verifier, "--keep", new, *NOW)[0] == 1
    assert not new.exists()
    assert run(capsys, bundle, "--key", KEY, "--keep", new, *NOW)[0] == 0
    assert new.read_text(encoding="utf-8") == BUNDLES.note()
    assert run(capsys, bundle, "--key", KEY, "--kept", new, *NOW)[0] == 0


def test_a_head_that_cannot_be_written_leaves_the_one_before(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(BUNDLES.note(), encoding="utf-8")
    (tmp_path / "kept.txt.new").symlink_to("/dev/full")
    code, _, error = run(capsys, bundle, "--key", KEY, "--kept", kept, "--keep", kept, *NOW)
    assert (code, error) == (2, "daybook-verify: [Errno 28] No space left on device\n")
    assert kept.read_text(encoding="utf-8") == BUNDLES.note()


def test_a_head_is_kept_behind_a_link_and_in_a_device(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    device, link, file = tmp_path / "device", tmp_path / "link", tmp_path / "file"
    device.symlink_to("/dev/null")
    file.write_text("before", encoding="utf-8")
    link.symlink_to(file)
    for kept in (device, link):
        assert run(capsys, bundle, "--key", KEY, "--keep", kept, *NOW)[0] == 0
        assert kept.is_symlink()
    assert file.read_text(encoding="utf-8") == BUNDLES.note()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "file", "link", "log.jsonl"]


def test_the_clock(capsys: pytest.CaptureFixture[str], bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.daybook_verify.time.time_ns", lambda: 1_800_000_000 * 10**9)
    assert run(capsys, bundle)[0] == 0
    monkeypatch.setattr("workers.daybook_verify.time.time_ns", lambda: 1_700_000_000 * 10**9)
    assert run(capsys, bundle)[0] == 1


def test_temporary_files(capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path) -> None:
    assert run(capsys, bundle, "--temp", tmp_path, *NOW)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]


# What cannot be run

OTHER_WITNESS: Final = Signer("w.example", b"x" * 32, COSIGNATURE).verifier
MISUSED: Final[dict[str, tuple[list[Any], str]]] = {
    "no key": (["--key", "x"], "--key: the key is not of the form name+id+base64"),
    "a key of a witness": (["--key", WITNESS.verifier], "--key: the key has the type 04; only 01"),
    "a key twice": (["--key", KEY, "--key", KEY], "--key names the same key twice"),
    "half a character": (["--key", "\udc80"], "--key: the key has half a character"),
    "no witness": (["--witness", KEY], "--witness: the key has the type 01; only 04"),
    "a witness under two names": (
        ["--witness", WITNESS.verifier, "--witness", Signer("w.example", b"w" * 32, COSIGNATURE).verifier],
        "--witness names the same key twice",
    ),
    "too many witnesses": (
        ["--witness", WITNESS.verifier, "--witnesses", 2],
        "--witnesses 2 of 1 that",
    ),
    "fewer than no witness": (["--witnesses", -1], "--witnesses -1 of 0"),
    "no time": (["--now", "noon"], "--now 'noon' is not a time"),
    "a time without an offset": (["--now", "2026-12-24T00:00:00"], "is not a time such as 2026-11-30T12:00:00Z"),
    "a folder that is missing": (["--temp", "/does/not/exist"], "No such file or directory"),
    "a head that is missing": (["--kept", "/does/not/exist"], "No such file or directory"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_misused(capsys: pytest.CaptureFixture[str], bundle: Path, name: str) -> None:
    options, says = MISUSED[name]
    code, shown, error = run(capsys, bundle, *options)
    assert (code, shown) == (2, "")
    assert error.startswith("daybook-verify: ")
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "a note has a text"),
        (b"\xff", "it is not UTF-8"),
        (b"a\nb\n\n\xe2\x80\x94 x AAAAAAAA\n", "this one has 2"),
        (b"x" * 100_000, "a note has at most 65536 bytes"),
    ],
)
def test_heads_that_are_none(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "kept.txt"
    path.write_bytes(content)
    code, _, error = run(capsys, bundle, "--kept", path)
    assert code == 2
    assert says in error


def test_files_that_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, tmp_path / "missing")[0] == 2
    assert run(capsys, tmp_path)[0] == 2


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        ("{} >/dev/full", 2, "daybook-verify: the report cannot be written: "),
        ("{} --json >/dev/full", 2, "daybook-verify: the report cannot be written: "),
        ("{} - <&-", 2, "daybook-verify: the standard input is closed"),
        ("{} 2>&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(bundle: Path, how: str, code: int, says: str) -> None:
    name = "-" if " - " in how else str(bundle)
    command = how.replace(" - ", " ").format(shlex.join([sys.executable, "-I", str(FILE), name, *NOW]))
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == (1 if says else 0)


def test_options_that_do_not_exist(bundle: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(bundle), "--colour"])
    assert ended.value.code == 2


# The page for auditors

PAGE: Final = FILE.parents[1] / "docs" / "howto" / "check-the-ledger.md"


def test_the_page_names_options_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    helped = capsys.readouterr().out
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    named = {option for block in blocks for option in re.findall(r"--[a-z]+", block)} - {"--help"}
    assert named == {"--key", "--witness", "--witnesses", "--kept", "--keep"}
    assert all(option in helped for option in named)


def test_the_page_quotes_what_the_program_says(capsys: pytest.CaptureFixture[str], bundle: Path) -> None:
    """Each line of the answer on the page is one of the program, and each sentence of the table one of its code."""
    page, source = PAGE.read_text(encoding="utf-8"), FILE.read_text(encoding="utf-8")
    _, shown, _ = run(capsys, bundle, "--key", KEY, *NOW)
    (answer,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {" ".join(line.split()) for line in answer.splitlines()} - lines == {"…"}
    table = page.split("| it says | which means |\n|---|---|\n")[1].split("\n\n")[0]
    sentences = [row.split("|")[1].strip() for row in table.splitlines()]
    parts = [part.strip() for sentence in sentences for part in sentence.split("…") if part.strip()]
    assert len(parts) > len(sentences)
    assert [part for part in parts if part not in source] == []
