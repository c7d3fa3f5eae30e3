"""Bundles of a real ledger: strangers check them, and nobody gets one who may not, or before the log is sealed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import psycopg
import pytest
from psycopg import Connection

from eventstore.postgres.connect import connect
from eventstore.proof import evidence as writing
from tests.integration.workers.running import daybook, environment
from tests.support.bundle_reader import Bundle, check, fields, read
from tests.support.postgres import Database, Server
from tests.support.sealing import HEADS_PACE, KEY, ORIGIN, PACE, Sealing, sealing_on
from tests.support.service import CUSTOMER, Service, service_on
from workers.proof.sealer import signers_of

VERIFIER = Path(__file__).parents[3] / "workers" / "daybook_verify.py"
PATIENCE_SECONDS = 60.0
BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS = {"from": "2026-11-01", "to": "2026-11-30"}
SHOWN_TO_OWNERS = {
    "account.closed.v1",
    "account.closing_asked.v1",
    "account.closing_cancelled.v1",
    "account.credited.v1",
    "account.debited.v1",
    "account.details_changed.v1",
    "account.frozen.v1",
    "account.hold_captured.v1",
    "account.hold_expired.v1",
    "account.hold_partly_captured.v1",
    "account.hold_placed.v1",
    "account.hold_placed.v2",
    "account.hold_released.v1",
    "account.limit_returned.v1",
    "account.limit_used.v1",
    "account.limits_changed.v1",
    "account.mandate_given.v1",
    "account.mandate_withdrawn.v1",
    "account.metadata_changed.v1",
    "account.opened.v1",
    "account.owner_added.v1",
    "account.owner_removed.v1",
    "account.reopened.v1",
    "account.unfrozen.v1",
}
"""What an owner who is a customer reads in other ways too. A new event of accounts is here, or is withheld."""
ENTRIES = ("account.debited.v1", "account.credited.v1")
EURO = {"currency": "EUR"}


@dataclass
class World:
    """A service with a sealed history, and the sizes of its checkpoints: with, without and with heads of streams."""

    service: Service
    database: Database
    sizes: list[int]
    account: str
    refused: str  # the key of a refused command

    @property
    def first(self) -> int:
        return self.sizes[0]

    @property
    def middle(self) -> int:
        return self.sizes[1]

    @property
    def last(self) -> int:
        return self.sizes[2]

    def get(self, path: str, role: str = "audit", token: str | None = None, **params: Any) -> httpx.Response:
        return self.service.get(f"proof/bundle/{path}", role=role, fresh=False, token=token, **params)

    def bundle(self, path: str, role: str = "audit", token: str | None = None, **params: Any) -> Bundle:
        """A bundle over HTTP, that holds."""
        answer = self.get(path, role, token, **params)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        found = read(answer.content)
        check(found)
        return found

    def position(self, key: str) -> int:
        """Where the unit of a command ends."""
        with psycopg.connect(self.database.url) as connection:
            row = connection.execute("SELECT last_position FROM log.commands WHERE key = %s", (key,)).fetchone()
        assert row is not None
        return int(row[0])


def sizes_after(sealing: Sealing) -> int:
    assert sealing.sealer().turn()
    last = sealing.last()
    assert last is not None
    return last.size


def history(service: Service, sealing: Sealing) -> tuple[list[int], str, str]:
    """Transfers and refusals between accounts of customers, and three checkpoints."""
    account, other = (service.account("100.00", owner=owner) for owner in (CUSTOMER, "prsn_bob"))
    for _ in range(40):
        service.account("1.00")
    transfer = {**EURO, "source": account, "target": other}
    first = service.post("transfers", {**transfer, "amount": "10.00", "description": "Rent"}, key="rent-1")
    assert first.status_code == 201, first.text
    sizes = [sizes_after(sealing)]
    sealing.now += PACE
    no = service.post("transfers", {**transfer, "amount": "5000.00"}, key="too much")
    assert no.status_code == 422, no.text
    service.account()
    sizes.append(sizes_after(sealing))
    sealing.now += HEADS_PACE
    for number in range(30):
        done = service.post("transfers", {**transfer, "amount": f"0.{number + 1:02}"}, key=f"small-{number}")
        assert done.status_code == 201, done.text
    sizes.append(sizes_after(sealing))
    service.post("transfers", {**transfer, "amount": "1.00"}, key="later")
    return sizes, account, "too much"


@pytest.fixture(scope="module")
def world(postgres18: Server) -> Iterator[World]:
    with (
        postgres18.database() as database,
        service_on(database) as service,
        sealing_on(database, now=BEGIN) as sealing,
    ):
        sizes, account, refused = history(service, sealing)
        assert sizes[-1] > 256, "more than a tile"
        yield World(service, database, sizes, account, refused)


@pytest.fixture
def auditor(world: World) -> Iterator[Connection[Any]]:
    with connect(world.database.url, application_name="test") as connection:
        yield connection


def test_an_event_is_proven_by_the_first_checkpoint_that_covers_it(world: World) -> None:
    for position, size in ((1, world.first), (world.first, world.first), (world.first + 1, world.middle)):
        found = world.bundle(f"event/{position}")
        assert (found.header["kind"], found.header["position"]) == ("event", position)
        assert [(leaf.position, found.header["size"]) for leaf in found.leaves] == [(position, size)]
        assert (found.records, found.heads, len(found.notes)) == ([], [], 1)
    answer = world.get(f"event/{world.last}")
    [line] = [line for line in answer.content.splitlines() if line.startswith(b'{"leaf"')]
    assert len(json.dumps(json.loads(line)["leaf"]["proof"])) < 2_000
    assert len(answer.content) < 3_000


def test_a_command_is_proven_with_its_answer_and_its_unit(world: World) -> None:
    found = world.bundle("command/rent-1", role="command")
    [record] = found.records
    _, actor, key, *_ = fields(record)
    assert (actor, key) == (b"the-command", b"rent-1")
    assert (found.header["actor"], found.header["command"]) == ("the-command", "rent-1")
    assert {leaf.unit_end for leaf in found.leaves} == {world.position("rent-1")}
    assert {leaf.commands for leaf in found.leaves} == {sha256(record).digest()}
    assert sorted(leaf.type for leaf in found.leaves) == [
        "account.credited.v1",
        "account.debited.v1",
        "transaction.posted.v1",
    ]
    assert world.bundle("command/rent-1", actor="the-command").header == found.header


def test_a_refusal_is_proven_too(world: World) -> None:
    found = world.bundle(f"command/{world.refused}", role="command")
    [record] = found.records
    assert fields(record)[6] == b"below_minimum"
    assert found.leaves[-1].type == "command.refused.v1"


def test_all_events_of_a_stream_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WINDOW", 7)
    found = world.bundle(f"stream/{world.account}")
    [head] = found.heads
    assert (found.header["stream"], head.stream) == (world.account, world.account)
    assert (len(found.leaves), found.header["size"]) == (head.version, world.last)
    assert head.version > 30, "more than a window"
    [last] = found.checkpoints
    assert last.size == world.last


def test_a_statement_has_its_lines_and_every_event_of_the_account(world: World) -> None:
    for by in ("booking", "value"):
        found = world.bundle(f"statement/{world.account}", **DAYS, by=by)
        statement = found.statement
        assert statement is not None
        asked = world.service.get(
            f"accounts/{world.account}/statement", **DAYS, by=by, as_of=statement["as_of"], limit=200
        ).json()
        assert statement | {"next": None} == asked
        assert statement["as_of"].endswith(f".{world.last}")
        payloads = [json.loads(leaf.payload) for leaf in found.leaves if leaf.type in ENTRIES]
        lines = {(line["transaction"], line["entry"]) for line in statement["items"]}
        assert lines == {(payload["transaction"], payload["entry"]) for payload in payloads}
        assert found.header["stream"] == world.account


def test_the_log_has_every_event_and_every_record(world: World, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    done = daybook(
        "export", "bundle", "--since", str(world.first), "--output", str(file), env=environment(world.database)
    )
    assert done.returncode == 0, done.stderr
    found = read(file.read_bytes())
    check(found)
    assert len(found.records) == len({leaf.unit_end for leaf in found.leaves})
    assert [one.size for one in found.checkpoints] == [world.first, world.last]
    assert not list(tmp_path.glob("*.partial"))


def test_earlier_checkpoints_are_the_beginning_of_the_last_one(world: World) -> None:
    found = world.bundle(f"stream/{world.account}", since=f"{world.middle},{world.first},{world.last}")
    assert [one.size for one in found.checkpoints] == world.sizes
    later = world.bundle("event/1", since=world.middle)
    assert [one.size for one in later.checkpoints] == [world.middle]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("event/{later}", 404, "No checkpoint covers position"),
        ("event/0", 400, "position"),
        ("event/99999999", 404, "No checkpoint covers position 99999999 yet"),
        ("command/of-nobody", 404, "No answer is recorded for key of-nobody of the-audit."),
        ("command/later?actor=the-command", 404, "No checkpoint covers position"),
        ("stream/acct_none", 404, "There is no stream acct_none among the {last} events"),
        ("event/1?since=7", 404, "No checkpoint of 7 leaves was signed; the nearest have {first}."),
        ("event/1?since=99999", 404, "No checkpoint of 99999 leaves was signed; the nearest have {last}."),
        ("event/1?since={between}", 404, "the nearest have {first} and {middle}."),
        ("event/1?since=0", 400, "since"),
        ("statement/acct_none?from=2026-11-01&to=2026-11-30", 404, "There is no account acct_none."),
        ("statement/{account}?from=2026-11-30&to=2026-11-01", 400, "to"),
    ],
)
def test_what_is_not_there_is_a_sentence(world: World, path: str, status: int, sentence: str) -> None:
    names = {
        "later": world.last + 1,
        "first": world.first,
        "middle": world.middle,
        "last": world.last,
        "between": world.first + 1,
        "account": world.account,
    }
    target, _, asked = path.format(**names).partition("?")
    parameters: dict[str, Any] = dict(parse_qsl(asked))
    answer = world.get(target, **parameters)
    assert answer.status_code == status, answer.text
    assert sentence.format(**names) in answer.json()["detail"]


# The verifier of a stranger


def verified(content: bytes, folder: Path, *options: str) -> dict[str, Any]:
    """What `daybook-verify` reports on a bundle, with the key of the tests."""
    file = folder / "bundle.jsonl"
    file.write_bytes(content)
    key = str(signers_of(ORIGIN, [KEY])[0].verifier)
    command = [sys.executable, str(VERIFIER), str(file), "--key", key, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1), done.stderr
    return report


@pytest.mark.parametrize(
    "path",
    [
        "event/{first}",
        "command/rent-1?actor=the-command",
        "command/too much?actor=the-command",
        "stream/{account}",
        "statement/{account}?from=2026-11-01&to=2026-11-30",
        "statement/{account}?from=2026-11-01&to=2026-11-30&by=value",
        "stream/{account}?since={first},{middle}",
    ],
)
def test_a_stranger_verifies_each_kind(world: World, tmp_path: Path, path: str) -> None:
    target, _, asked = path.format(first=world.first, middle=world.middle, account=world.account).partition("?")
    parameters: dict[str, Any] = dict(parse_qsl(asked))
    report = verified(world.get(target, **parameters).content, tmp_path)
    assert report["ok"], report


def test_a_stranger_verifies_the_whole_log(world: World, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    done = daybook("export", "bundle", "--output", str(file), env=environment(world.database))
    assert done.returncode == 0, done.stderr
    report = verified(file.read_bytes(), tmp_path)
    assert report["ok"], report
    assert {check["name"] for check in report["checks"] if check["covered"]} >= {"zero sums"}


# Who may


def test_events_and_streams_are_for_auditors_and_commands_for_who_sent_them(world: World) -> None:
    for path in ("event/1", f"stream/{world.account}"):
        roles = {role: world.get(path, role=role).status_code for role in ("audit", "operator", "command", "report")}
        assert roles == {"audit": 200, "operator": 200, "command": 403, "report": 403}
    mine = world.get("command/rent-1", role="command", actor="the-operator")
    assert (mine.status_code, mine.json()["detail"]) == (403, "the-command may ask only for commands of its own.")
    assert world.get("command/rent-1", role="customer").status_code == 403


def test_a_customer_gets_the_evidence_of_accounts_that_are_theirs(world: World) -> None:
    found = world.bundle(f"statement/{world.account}", role="customer", **DAYS)
    assert found.statement is not None
    assert found.statement["account"] == world.account
    assert found.heads[0].stream == world.account
    stranger = world.service.customer("prsn_stranger")
    missing = "acct_00000000000000000000000000"
    for account in (world.account, missing):
        answer = world.get(f"statement/{account}", token=stranger, **DAYS)
        assert answer.status_code == 404
        assert answer.text.replace(account, missing) == world.get(f"statement/{missing}", token=stranger, **DAYS).text


def test_what_a_customer_gets_of_other_accounts_is_as_in_the_statement(world: World) -> None:
    """A customer sees the other side of a payment, and not who else is in a larger transaction."""
    mine = world.bundle(f"statement/{world.account}", role="customer", **DAYS).statement
    asked = world.service.get(f"accounts/{world.account}/statement", role="customer", **DAYS, limit=200)
    assert mine is not None
    assert asked.json()["items"][: len(mine["items"])] == mine["items"]


def test_every_event_of_an_account_is_shown_to_its_owner_or_withheld_on_purpose() -> None:
    assert set(SHOWN) == SHOWN_TO_OWNERS
