"""Bundles of a real ledger: strangers check them, and nobody gets one who may not, or before the log is sealed."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import psycopg
import pytest
from psycopg import Connection

from api.accounts.statement_bundles import SHOWN
from api.queries import bundles
from eventstore.postgres.connect import connect
from eventstore.proof import bundle
from eventstore.proof import evidence as writing
from eventstore.proof.cosignatures import cosign
from eventstore.proof.evidence import ChangedError, Evidence, EvidenceError
from eventstore.proof.leaves import read_leaves_at
from eventstore.proof.notes import COSIGNATURE, Signer, parse_note
from eventstore.proof.store import read_leaves, rename_tree
from eventstore.proof.witnesses import checkpoint_note, keep_cosignature
from tests.integration.workers.running import daybook, environment
from tests.samples.accounts import chart
from tests.support.bundle_reader import Bundle, check, fields, read
from tests.support.ledger import deposit, ledger_on
from tests.support.postgres import Database, Server
from tests.support.sealing import HEADS_PACE, KEY, ORIGIN, PACE, Sealing, sealing_on
from tests.support.service import CUSTOMER, Service, service_on
from workers.proof.sealer import signers_of

VERIFIER = Path(__file__).parents[3] / "workers" / "daybook_verify.py"
PATIENCE_SECONDS = 60.0
STATEMENT = "statement {account} --from 2026-11-01 --to 2099-12-31"
BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS: dict[str, Any] = {"from": "2026-11-01", "to": "2099-12-31"}
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
OF_A_LOG = {
    "events are those of the tree",
    "positions are dense",
    "versions of each stream are contiguous",
    "no event of a stream is left out",
    "units are whole",
    "records of commands are those of their events",
    "transactions sum to zero per currency",
    "entries of transactions are those of accounts",
}
ENTRIES = ("account.debited.v1", "account.credited.v1")
EURO = {"currency": "EUR"}


@dataclass
class World:
    """A service with a sealed history, and the sizes of its checkpoints: with, without and with heads of streams."""

    service: Service
    database: Database
    sizes: list[int]
    account: str = ""
    refused: str = ""  # the key of a refused command
    sealing: Sealing | None = None  # None: it is sealed already

    def seal(self) -> int:
        """Seal up to the head, with heads of streams. Returns the size."""
        assert self.sealing is not None
        self.sealing.now += HEADS_PACE
        return sizes_after(self.sealing)

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
    lines = [(account, "debit", "2.00"), (other, "credit", "1.00"), (service.account(), "credit", "1.00")]
    entries = [{**EURO, "account": id, "side": side, "amount": amount} for id, side, amount in lines]
    assert service.post("transactions", {"entries": entries}).status_code == 201
    first = service.post("transfers", {**transfer, "amount": "10.00", "description": "Rent"}, key="rent-1")
    assert first.status_code == 201, first.text
    sizes = [sizes_after(sealing)]
    sealing.now += PACE
    no = service.post("transfers", {**transfer, "amount": "5000.00"}, key="too much")
    assert no.status_code == 422, no.text
    for role in ("command", "operator"):
        service.post(
            "accounts", {"type": "checking", **EURO, "owner": "prsn_bob", "name": "Bob"}, role=role, key="shared"
        )
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


@pytest.fixture(scope="module")
def living(postgres18: Server) -> Iterator[World]:
    """A service in which tests write and seal."""
    with (
        postgres18.database() as database,
        service_on(database) as service,
        sealing_on(database, now=BEGIN) as sealing,
    ):
        yield World(service, database, [], sealing=sealing)


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


def test_the_log_is_read_in_windows(world: World, auditor: Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows end within units, and the record of a command comes before the last event of its unit."""
    evidence, seen = Evidence(auditor, world.service.services.log_number), list[tuple[int, int]]()
    whole = list(evidence.of_log())
    monkeypatch.setattr(writing, "LOG_WINDOW", 7)
    assert list(evidence.of_log(lambda position, size: seen.append((position, size)))) == whole
    assert seen == [(min(at + 7, world.last), world.last) for at in range(0, world.last, 7)]
    kinds = [next(iter(json.loads(line))) for line in whole]
    ends = {leaf.unit_end for leaf in read(b"".join(whole)).leaves}
    position = 0
    for kind, following in pairwise(kinds):
        position += kind == "leaf"
        assert (following == "record") == (position + 1 in ends and kind != "record" and following != "end")


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
        ("statement/acct_none?from=2026-11-01&to=2099-12-31", 404, "There is no account acct_none."),
        ("statement/{account}?from=2099-12-31&to=2026-11-01", 400, "to"),
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


def verified(content: bytes, folder: Path, *options: str, origin: str = ORIGIN) -> dict[str, Any]:
    """What `daybook-verify` reports on a bundle, with the key of the tests."""
    file = folder / "bundle.jsonl"
    file.write_bytes(content)
    key = str(signers_of(origin, [KEY])[0].verifier)
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
        "statement/{account}?from=2026-11-01&to=2099-12-31",
        "statement/{account}?from=2026-11-01&to=2099-12-31&by=value",
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
    assert {check["name"] for check in report["checks"] if check["covered"]} >= OF_A_LOG


def test_a_restored_log_has_the_name_under_which_each_checkpoint_was_signed(postgres18: Server, tmp_path: Path) -> None:
    named = "daybook.example/after-the-restore"
    with (
        postgres18.database() as database,
        ledger_on(database) as ledger,
        sealing_on(database, now=BEGIN) as sealing,
        connect(database.url, application_name="test") as connection,
    ):
        account = ledger.account()
        old = sizes_after(sealing)
        rename_tree(connection, sealing.log_number, named)
        evidence = Evidence(connection, sealing.log_number)
        for lines in (evidence.of_event(1), evidence.of_stream(account), evidence.of_log()):  # no other name has signed
            report = verified(b"".join(lines), tmp_path)
            assert report["ok"], report
        ledger.accepted(deposit(account, 100))
        sealing.origin = named
        sealing.now += HEADS_PACE
        new = sizes_after(sealing)
        assert verified(b"".join(evidence.of_event(old)), tmp_path)["ok"]
        for lines in (evidence.of_event(new), evidence.of_stream(account), evidence.of_log()):
            report = verified(b"".join(lines), tmp_path, origin=named)
            assert report["ok"], report
        with pytest.raises(EvidenceError, match=f"of {old} leaves is of the log {ORIGIN}, and that of {new} leaves of"):
            Evidence(connection, sealing.log_number, [old]).of_stream(account)


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
    staff = world.bundle(f"statement/{world.account}", **DAYS).statement
    assert mine is not None
    assert staff is not None
    assert asked.json()["items"][: len(mine["items"])] == mine["items"]
    [hidden] = [line for line in mine["items"] if line["kind"] == "journal"]
    [shown] = [line for line in staff["items"] if line["kind"] == "journal"]
    assert (hidden["counterparties_in_all"], shown["counterparties_in_all"]) == (0, 2)


def test_an_owner_does_not_get_what_only_staff_reads(living: World) -> None:
    service = living.service
    account = service.account("5.00", owner="prsn_watched")
    owner, holder = service.customer("prsn_watched"), service.customer("prsn_holder")
    service.do(f"accounts/{account}/mandates", {**EURO, "person": "prsn_holder", "may_see": True, "move_up_to": None})
    living.seal()
    path, shown = f"statement/{account}", {**DAYS, "min_position": service.last["position"]}
    answer = living.get(path, token=holder, **shown)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        f"The evidence of account {account} is for its owners.",
    )
    assert living.get(path, token=owner, **shown).status_code == 200
    service.do(f"accounts/{account}/attach", {"node": chart.node(service)})
    living.seal()
    shown["min_position"] = service.last["position"]
    answer = living.get(path, token=owner, **shown)
    assert answer.status_code == 403
    assert "has events that only staff reads" in answer.json()["detail"]
    assert living.get(path, **shown).status_code == 200


def test_every_event_of_an_account_is_shown_to_its_owner_or_withheld_on_purpose() -> None:
    assert set(SHOWN) == SHOWN_TO_OWNERS


# Receipts


def test_a_receipt_comes_once_the_command_is_sealed(living: World, tmp_path: Path) -> None:
    service = living.service
    account = service.account()
    service.post(f"accounts/{account}/deposits", {**EURO, "amount": "7.00"}, key="receipt/1")
    asked = service.get("commands/receipt/1", role="command").json()
    assert "receipt" not in asked, "nobody asked for it"
    unsealed = service.get("commands/receipt/1", role="command", receipt="true").json()
    assert unsealed == {**asked, "receipt": None}
    living.seal()
    answer = service.get("commands/receipt/1", role="command", receipt="true")
    receipt = answer.json()["receipt"].encode()
    assert answer.json() == {**asked, "receipt": receipt.decode()}
    found = read(receipt)
    check(found)
    [record], [leaf] = found.records, found.leaves
    assert fields(record)[2] == b"receipt/1"
    assert json.loads(fields(record)[7] or b"")["transaction"] == asked["answer"]["transaction"]
    assert leaf.commands == sha256(record).digest()
    assert leaf.position == leaf.unit_end == living.position("receipt/1")
    report = verified(receipt, tmp_path)
    assert report["ok"], report
    assert len(receipt) < 5_000
    changed = receipt.replace(b64encode(record), b64encode(record.replace(b"receipt/1", b"receipt/2")))
    assert changed != receipt
    [finding] = verified(changed, tmp_path)["findings"]
    assert "the record of its command is not the one" in finding["what"]


# Witnesses


def test_a_bundle_has_the_cosignatures_of_its_checkpoints_and_their_keys(living: World, tmp_path: Path) -> None:
    account, number = living.service.account("2.00"), living.service.services.log_number
    early, late = (Signer(f"{name}.example", bytes([name == "late"]) * 32, COSIGNATURE) for name in ("early", "late"))
    first = living.seal()
    living.service.account()
    last = living.seal()
    at = datetime.now(UTC)  # the events have the time of the database
    with connect(living.database.url, application_name="test") as owner:
        for size, signer in ((first, early), (last, late)):
            text = parse_note(checkpoint_note(owner, number, size).encode()).text
            line = cosign(signer, text, at).line.rstrip("\n")
            assert keep_cosignature(owner, number, str(signer.verifier), size, line, at)
    alone = living.bundle(f"stream/{account}")
    assert alone.witnesses == [str(late.verifier)]
    assert [len(parse_note(note.encode()).signatures) for note in alone.notes] == [2]
    answer = living.get(f"stream/{account}", since=first)
    both = read(answer.content)
    check(both)
    assert both.witnesses == [str(early.verifier), str(late.verifier)]
    report = verified(answer.content, tmp_path, "--witness", str(late.verifier))
    assert report["ok"], report
    assert not verified(answer.content, tmp_path, "--witness", str(early.verifier))["ok"], (
        "it has not seen the last one"
    )


# What was changed, and what is old


def test_evidence_outlives_the_erasure_of_a_person(living: World) -> None:
    account = living.service.account("9.00", owner="prsn_gone", name="Ada Byron")
    size = living.seal()
    before = living.bundle(f"stream/{account}")
    living.service.erased("prsn_gone")
    after = living.bundle(f"stream/{account}")
    assert after.leaves == before.leaves, "erasing destroys a key and changes no leaf"
    living.seal()
    later = living.bundle(f"stream/{account}", since=size)
    assert [leaf.raw for leaf in later.leaves[: len(before.leaves)]] == [leaf.raw for leaf in before.leaves]


def test_what_was_changed_after_it_was_sealed_is_no_evidence(living: World, tmp_path: Path) -> None:
    account = living.service.account("3.00")
    living.seal()
    file = tmp_path / "evidence.jsonl"
    arguments = ("prove", "stream", account, "--output", str(file))
    with psycopg.connect(living.database.url) as superuser:
        superuser.execute(
            "UPDATE log.events SET metadata = metadata || ' '::bytea WHERE stream = %s AND version = 2", (account,)
        )
    try:
        done = daybook(*arguments, env=environment(living.database))
        assert done.returncode == 3
        assert "is not the one that was sealed" in done.stderr
        assert not file.exists()
        answer = living.get(f"stream/{account}")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "is not the one that was sealed" in answer.json()["detail"]
        whole = daybook("export", "bundle", "--output", str(file), env=environment(living.database))
        assert (whole.returncode, list(tmp_path.iterdir())) == (3, [])
        assert "do not have the root of the checkpoint" in whole.stderr
    finally:
        with psycopg.connect(living.database.url) as superuser:
            superuser.execute(
                "UPDATE log.events SET metadata = substr(metadata, 1, octet_length(metadata) - 1)"
                " WHERE stream = %s AND version = 2",
                (account,),
            )
    assert living.get(f"stream/{account}").status_code == 200


def test_the_oldest_metadata_names_no_key(postgres18: Server) -> None:
    """The command is found by its position then."""
    with postgres18.database() as database, ledger_on(database) as ledger, sealing_on(database) as sealing:
        account = ledger.account()
        ledger.accepted(deposit(account, 100))
        with psycopg.connect(database.url) as superuser:
            superuser.execute(
                "UPDATE log.events SET metadata = convert_to(regexp_replace(convert_from(metadata, 'UTF8'),"
                " '\"key\":\"[^\"]*\",', ''), 'UTF8')"
            )
        size = sizes_after(sealing)
        with connect(database.url, application_name="test") as connection:
            [leaf] = read_leaves(connection, sealing.log_number, size - 1, size)
            assert read_leaves_at(connection, sealing.log_number, [size])[size] != leaf
            found = read(b"".join(Evidence(connection, sealing.log_number).of_event(size)))
            check(found)
            assert found.leaves[0].raw == leaf


def test_a_stream_of_the_library_that_counts_from_0(postgres18: Server, tmp_path: Path) -> None:
    with (
        postgres18.database() as database,
        ledger_on(database) as ledger,
        sealing_on(database, now=BEGIN) as sealing,
        connect(database.url, application_name="test") as connection,
    ):
        account = ledger.account(100)
        connection.execute("UPDATE log.events SET version = version - 1, encoding = 1 WHERE stream = %s", (account,))
        sizes_after(sealing)
        evidence = Evidence(connection, sealing.log_number)
        content = b"".join(evidence.of_stream(account))
        assert [leaf.version for leaf in read(content).leaves] == [0, 1]
        assert verified(content, tmp_path)["ok"]
        connection.execute("DELETE FROM log.events WHERE stream = %s AND version = 1", (account,))
        with pytest.raises(ChangedError, match=f"the stream {account} was sealed at version 1, and 1 of"):
            list(evidence.of_stream(account))


def test_an_event_of_a_stream_that_is_gone(postgres18: Server) -> None:
    with (
        postgres18.database() as database,
        ledger_on(database) as ledger,
        sealing_on(database, now=BEGIN) as sealing,
        connect(database.url, application_name="test") as connection,
    ):
        account = ledger.account(100)
        ledger.accepted(deposit(account, 100))
        sizes_after(sealing)
        connection.execute("DELETE FROM log.events WHERE stream = %s AND version = 2", (account,))
        with pytest.raises(ChangedError, match=f"the stream {account} was sealed at version 3, and 2 of"):
            list(Evidence(connection, sealing.log_number).of_stream(account))


@pytest.mark.parametrize("table", ["tiles", "head_tiles"])
def test_a_tree_that_lost_hashes_gives_a_sentence(postgres18: Server, table: str) -> None:
    with (
        postgres18.database() as database,
        ledger_on(database) as ledger,
        sealing_on(database, now=BEGIN) as sealing,
        connect(database.url, application_name="test") as connection,
    ):
        account = ledger.account(100)
        ledger.accepted(deposit(account, 100))
        sizes_after(sealing)
        connection.execute("ALTER TABLE proof.head_tiles DROP CONSTRAINT head_tiles_hashes_check")
        connection.execute(f"UPDATE proof.{table} SET hashes = substr(hashes, 1, 32)")
        with pytest.raises(ChangedError, match=r"there is no proof: .* run daybook verify"):
            list(Evidence(connection, sealing.log_number).of_stream(account))


def test_leaves_are_found_by_key_as_they_are_by_position(world: World, auditor: Connection[Any]) -> None:
    number = world.service.services.log_number
    positions = range(1, world.last + 1)
    assert list(read_leaves_at(auditor, number, positions).values()) == read_leaves(auditor, number, 0, world.last)


def test_a_copy_has_the_same_leaves(world: World, auditor: Connection[Any]) -> None:
    """A copy has hashes of records instead of records."""
    number = world.service.services.log_number
    leaves = read_leaves(auditor, number, 0, world.last)
    with auditor.transaction(force_rollback=True):
        auditor.execute(
            "INSERT INTO log.command_hashes (log, last_position, hashes)"
            " SELECT c.log, c.last_position, sha256(log.command_record(l.uuid, c))"
            " FROM log.commands c JOIN log.logs l ON l.log = c.log WHERE c.last_position IS NOT NULL"
        )
        auditor.execute("DELETE FROM log.commands")
        assert read_leaves(auditor, number, 0, world.last) == leaves
        assert list(read_leaves_at(auditor, number, range(1, world.last + 1)).values()) == leaves
        found = read(b"".join(Evidence(auditor, number).of_stream(world.account)))
        check(found)


# Bounds and the command line


def test_a_bundle_over_http_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MOST_BYTES", 10_000)
    answer = world.get(f"stream/{world.account}")
    assert (answer.status_code, answer.json()["figures"]) == (400, {"most": 10_000})
    assert "daybook prove" in answer.json()["detail"]
    many = ",".join("1" for _ in range(101))
    assert "at most 100 sizes, not 101" in world.get("event/1", since=many).json()["detail"]


def test_a_statement_that_does_not_fit_into_a_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST_LINE_BYTES", 9_000)
    answer = world.get(f"statement/{world.account}", **DAYS)
    assert answer.status_code == 400
    assert "ask for a shorter period" in answer.json()["detail"]


@pytest.mark.parametrize(
    "arguments", ["event 5", "command rent-1", "stream {account}", STATEMENT, f"{STATEMENT} --by value"]
)
def test_the_command_line_writes_what_the_api_answers(world: World, tmp_path: Path, arguments: str) -> None:
    file = tmp_path / "evidence.jsonl"
    given = (*arguments.format(account=world.account).split(), "--since", str(world.first), "--output", str(file))
    done = daybook("prove", *given, env=environment(world.database))
    assert done.returncode == 0, done.stderr
    assert "daybook-verify" in done.stdout
    assert file.stat().st_mode & 0o077 == 0
    kind, name, *_ = given
    asked: dict[str, Any] = {"since": world.first}
    if kind == "command":
        asked["actor"] = "the-command"
    if kind == "statement":
        asked |= {**DAYS, "by": "value" if "value" in given else "booking"}
    assert file.read_bytes() == world.get(f"{kind}/{name}", **asked).content
    printed = daybook("prove", *given[:-2], env=environment(world.database))
    assert printed.stdout == file.read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("event {later}", "No checkpoint covers position"),
        ("command of-nobody", "no command has the key of-nobody"),
        ("command of-nobody --actor the-command", "No answer is recorded for key of-nobody"),
        (
            "command shared",
            "several actors sent a command with the key shared: say by --actor which one (the-command, the-operator)",
        ),
        ("stream acct_none", "There is no stream acct_none"),
        ("statement acct_none --from 2026-11-01 --to 2099-12-31", "There is no stream acct_none"),
        ("statement {transaction} --from 2026-11-01 --to 2099-12-31", "there is no account txn_"),
        ("statement {account} --from 2099-12-31 --to 2026-11-01", "before it begins"),
        ("event 1 --since 7", "No checkpoint of 7 leaves was signed"),
        ("stream {account} --since {middle}", None),
    ],
)
def test_the_command_line_says_why_there_is_no_evidence(world: World, arguments: str, sentence: str | None) -> None:
    transaction = world.bundle("command/rent-1", actor="the-command").leaves[0].stream
    names = {"later": world.last + 1, "account": world.account, "middle": world.middle, "transaction": transaction}
    done = daybook("prove", *arguments.format(**names).split(), env=environment(world.database))
    assert done.returncode == (0 if sentence is None else 3), done.stderr
    assert (sentence or "") in " ".join(done.stderr.split())


def test_nothing_is_proven_before_the_log_is_sealed(postgres18: Server) -> None:
    with postgres18.database() as database, ledger_on(database) as ledger:
        account = ledger.account()
        with connect(database.url, application_name="test") as connection:
            evidence = Evidence(connection, 1)
            writes: list[Callable[[], Iterator[bytes]]] = [
                lambda: evidence.of_event(1),
                lambda: evidence.of_stream(account),
                evidence.of_log,
            ]
            for write in writes:
                with pytest.raises(EvidenceError, match="daybook seal signs them"):
                    write()
