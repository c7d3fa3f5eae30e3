"""Persons are erased and exported once two persons have decided it: nothing is left, and what is asked for is there."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg_pool import ConnectionPool

from api.gateway.principals import TokenHolder, digest
from domain.kernel import Principal
from domain.people.person.profile import ChangeProfile
from domain.people.person.registration import RegisterPerson, VerifyEmail
from domain.people.person.status import ReactivatePerson, SuspendPerson
from domain.people.privacy import AskForErasure, AskForExport
from domain.posts.post import DeletePost, DraftPost, RevisePost
from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.scopes import Scope
from eventstore.credentials.sessions import Sessions
from eventstore.executor.reply_sinks import RejectedError
from eventstore.log.answers import Answer
from eventstore.postgres.connect import connect
from projections.engine.waiting import Checkpoints
from tests.integration.workers.running import daybook, environment
from tests.samples.people.person import by_administrator, by_self
from tests.samples.people.privacy import approved, begun, lifted, placed
from tests.support.credentials import pool_on
from tests.support.ledger import NOW, assert_sound, codec_of
from tests.support.memory_ledger import ADMINISTRATOR, VISITOR, By, by_person
from tests.support.postgres import Database
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until
from workers.composition import WriteSide, system_submission
from workers.privacy import erasing
from workers.privacy.erasing import ErasureReport, Keeping, erase_person
from workers.privacy.exporting import export_person
from workers.privacy.requests import RequestError
from workers.verify import verify

KEEPING = Keeping(backup_days=35, origin_days=90)
ADA, BOB = "prsn_ada", "prsn_bob"
HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "erase-and-export-persons.md"


@dataclass
class World:
    """A running service, and what the owner of its database works with."""

    service: Service
    side: WriteSide
    owner: Connection[Any]
    reading: Connection[Any]
    credentials: ConnectionPool[Connection[Any]]
    checkpoints: Checkpoints

    @property
    def database(self) -> Database:
        return self.service.database

    def do(self, *commands: By) -> None:
        for command in commands:
            self.service.executed(command)

    def erase(self, approval: str, key: str = "request 4711", wait_seconds: float = 30) -> ErasureReport:
        """As `daybook people erase` does."""
        return erase_person(
            self.side,
            self.owner,
            self.reading,
            self.credentials,
            self.checkpoints,
            approval,
            key,
            KEEPING,
            wait_seconds=wait_seconds,
        )

    def approved_erasure(self, person: str = ADA, approval: str = "appr_1") -> None:
        self.do(by_administrator(AskForErasure(approval, person)), approved(approval))

    def everything(self) -> Iterator[tuple[str, str]]:
        """Each row of each table of each schema of ours, as text, with the bytes of binary columns beside it."""
        with psycopg.connect(self.database.url) as superuser:
            tables = superuser.execute(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            assert {"log", "read", "credentials"} <= {schema for schema, _ in tables}
            for schema, table in tables:
                name = sql.Identifier(schema, table)
                for (row,) in superuser.execute(sql.SQL("SELECT t::text FROM {} t").format(name)):
                    yield f"{schema}.{table}", row

    def where(self, texts: list[str]) -> set[str]:
        """The tables in which one of these texts stands, in clear or as the bytes of it."""
        wanted = [*texts, *(text.encode().hex() for text in texts)]
        return {table for table, row in self.everything() if any(text in row for text in wanted)}

    def verified(self) -> None:
        with connect(self.database.audit_url, application_name="keys") as keys:
            report = verify(self.reading, "main", codec_of(keys, 1))
        assert report.ok, report


@contextmanager
def world_on(database: Database) -> Iterator[World]:
    with (
        service_on(database) as service,
        psycopg.connect(database.url, autocommit=True) as owner,
        connect(database.audit_url, application_name="audit") as reading,
        pool_on(database) as credentials,
    ):
        owner.execute("SET ROLE daybook_owner")
        checkpoints = Checkpoints(lambda: connect(database.query_url, application_name="checkpoints"), "main")
        services = service.services
        side = WriteSide("main", services.log_number, services.executor, services.codec)
        try:
            yield World(service, side, owner, reading, credentials, checkpoints)
        finally:
            checkpoints.close()


@pytest.fixture
def world(database18: Database) -> Iterator[World]:
    with world_on(database18) as world:
        yield world


_keys = count(1)


def answered(world: World, command: By) -> Answer:
    """The answer to a command that may be refused. Its key is one that no other helper uses."""
    key = f"answered-{next(_keys)}"
    submission = system_submission(command.principal, key, command.command, key, "main", NOW)
    [answer] = world.service.services.executor.execute([submission])
    return answer


class Words:
    """Random texts, each of which stands nowhere else. They are letters only, so that they are in clear in a dump."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self.used: list[str] = []

    def one(self) -> str:
        word = "".join(self._chance.choices("bcdfghjkmnpqrstvwxz", k=14))
        self.used.append(word)
        return word


def registered(person: str, words: Words) -> tuple[By, By]:
    """A person with random names."""
    names = RegisterPerson(person, words.one(), f"{words.one()}@example.com", words.one(), f"u-{person}", f"e-{person}")
    return By(VISITOR, names), By(VISITOR, VerifyEmail(person, f"e-{person}"))


def a_life(world: World, person: str, words: Words) -> None:
    """Whatever can be written about a person, each text a word of its own, and credentials."""
    one = words.one
    world.do(
        *registered(person, words),
        By(by_person(person), ChangeProfile(person, one(), one(), one(), f"https://{one()}.example")),
        by_administrator(SuspendPerson(person, one())),
        by_administrator(ReactivatePerson(person, one())),
        placed(person, "case-7", one()),
        lifted(person, "case-7"),
    )
    service = world.service
    account = service.account("10.00", owner=person, name=one())
    for freezing in ("freeze", "unfreeze"):
        done = service.post(f"accounts/{account}/{freezing}", {"reason": one()}, role="operator")
        assert done.status_code == 200, done.text
    other = service.account(owner="someone-else", name="Someone Else")
    moved = {"source": account, "target": other, "amount": "1.00", "currency": "EUR", "description": one()}
    done = service.post("transfers", moved)
    assert done.status_code == 201, done.text
    post = f"post_{person}"
    lines = [{"sku": "tea", "name": one(), "quantity": 1, "unit_price": "1.00"}]
    placed_order = service.do("orders", {"customer": person, "currency": "EUR", "lines": lines})["order"]
    service.do(f"orders/{placed_order}/cancel", {"reason": one()})
    world.do(
        By(OPERATOR, DraftPost(post, person, one(), one())),
        By(OPERATOR, RevisePost(post, one(), one(), one())),
        By(OPERATOR, DeletePost(post, one())),
        By(OPERATOR, DraftPost(f"{post}_2", person, one(), one())),
    )
    keys = ApiKeys(world.credentials, 1)
    assert keys.create(f"key_{person}", person, 2, name=one(), scope=Scope(frozenset({"accounts"})), per_minute=10)
    assert Sessions(world.credentials, 1).open(f"ses_{person}", person, 2) is not None


OPERATOR = by_person("prsn_op", "operator")


def answers(world: World, person: str) -> str:
    """What the API answers about everything."""
    service = world.service
    paths = ("log", "accounts", "transactions", "posts", "orders", "refusals", f"streams/{person}")
    return "\n".join(service.get(path, role="audit").text for path in paths)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_byte_of_a_person_is_left(world: World, seed: int) -> None:
    """Each text is found before, in tables, answers or memory; none is after, and those of another person are."""
    hers, his = Words(seed), Words(seed + 100)
    a_life(world, ADA, hers)
    a_life(world, BOB, his)
    before = answers(world, ADA)
    states = world.service.services.executor._states._cache._known
    assert any(word in before for word in hers.used)
    assert any(word in repr(states) for word in hers.used)
    wait_until(lambda: {"read.people", "read.posts", "read.orders"} <= world.where(hers.used), "the tables are folded")
    world.approved_erasure()
    report = world.erase("appr_1")
    assert report.ok, report
    assert report.rows.keys() >= {"people", "accounts", "posts", "post_revisions", "orders", "order_lines"}
    assert set(report.credentials) == {"sessions", "API keys"}
    assert world.where(hers.used) == set()
    wait_until(lambda: not any(word in repr(states) for word in hers.used), "the executor forgets")
    after = answers(world, ADA)
    assert [word for word in hers.used if word in after] == []
    assert any(word in after for word in his.used)
    assert {"read.people", "read.accounts", "read.posts"} <= world.where(his.used)
    assert Sessions(world.credentials, 1).of(BOB) != []
    world.verified()
    assert_sound(world.database)


def test_the_names_of_an_erased_person_are_free_and_money_stays(world: World) -> None:
    words = Words(1)
    world.do(*registered(ADA, words))
    account = world.service.account("10.00", owner=ADA, name=words.one())
    world.approved_erasure()
    world.erase("appr_1")
    again = RegisterPerson("prsn_new", words.used[0], f"{words.used[1]}@example.com", "New", f"u-{ADA}", f"e-{ADA}")
    world.do(By(VISITOR, again))
    assert world.service.get(f"accounts/{account}").json()["balance"] == "10.00"
    done = world.service.post(f"accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"})
    assert done.status_code == 201, done.text
    world.verified()


def test_a_legal_hold_forbids_an_approved_erasure_until_it_is_lifted(world: World) -> None:
    world.do(*registered(ADA, Words(1)))
    world.approved_erasure()
    world.do(placed(ADA, "case-7"))
    with pytest.raises(RequestError, match="prsn_ada is under the legal hold case-7, which forbids an erasure"):
        world.erase("appr_1", "one")
    assert not world.where(["subject.erased.v1"])
    world.do(lifted(ADA, "case-7"))
    with pytest.raises(RequestError, match="legal hold"):
        world.erase("appr_1", "one")  # the answer to this key, for ever
    assert world.erase("appr_1", "two").ok


def test_a_hold_and_an_erasure_at_once_end_with_one_of_them(world: World) -> None:
    """Whichever is first on the stream of the record. Never are both in force."""
    people = [f"prsn_p{number}" for number in range(8)]
    for number, person in enumerate(people):
        world.do(*registered(person, Words(number)))
        world.approved_erasure(person, f"appr_{number}")
    with ThreadPoolExecutor(4) as pool:
        for number, person in enumerate(people):
            steps = [placed(person), begun(person, f"appr_{number}")]
            found = list(pool.map(lambda one: answered(world, one), steps if number % 2 else steps[::-1]))
            rules = sorted(answer.rule or "" for answer in found)
            assert rules in (["", "erasure_begun"], ["", "legal_hold"])


@pytest.mark.parametrize("asked", [False, True], ids=["unknown", "asked"])
def test_one_person_alone_erases_nobody(world: World, asked: bool) -> None:
    world.do(*registered(ADA, Words(1)))
    if asked:
        world.do(by_administrator(AskForErasure("appr_1", ADA)))
        answer = answered(world, approved("appr_1", by=ADMINISTRATOR))
        assert answer.rule == "approval_by_self"
    with pytest.raises(RequestError, match=r"is open|no request"):
        world.erase("appr_1")
    assert not world.where(["subject.erased.v1"])


def test_an_approval_erases_one_person_once(world: World) -> None:
    """The same command again finds everything done, and changes nothing."""
    world.do(*registered(ADA, Words(1)), *registered(BOB, Words(2)))
    world.approved_erasure()
    first = world.erase("appr_1")
    head = world.service.get("log", role="audit", limit=200).text
    again = world.erase("appr_1", "another key")
    assert (again.position, again.key_destroyed, again.rows) == (first.position, False, {})
    assert world.service.get("log", role="audit", limit=200).text == head
    world.do(by_administrator(AskForExport("appr_2", BOB)), approved("appr_2"))
    with pytest.raises(RequestError, match=r"no request appr_2 for person\.erase"):
        world.erase("appr_2")


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", ["erase_subject", "Sweeper", "CompleteErasure", "drop_snapshots"])
def test_an_erasure_that_is_killed_goes_on_when_it_is_started_again(
    world: World, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Words(1)
    a_life(world, ADA, words)
    world.approved_erasure()

    def killed(*arguments: Any, **more: Any) -> Any:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(erasing, step, killed)
        with pytest.raises(KilledError):
            world.erase("appr_1")
    refused = answered(world, placed(ADA))
    assert refused.rule == "erasure_begun"
    assert world.erase("appr_1", "another key").ok
    assert world.where(words.used) == set()
    world.verified()


def test_tables_that_nobody_folds_are_named(world: World) -> None:
    """The report says what is left, and is not a success."""
    words = Words(1)
    a_life(world, ADA, words)
    wait_until(lambda: "read.people" in world.where(words.used), "the tables are folded")
    with psycopg.connect(world.database.url, autocommit=True) as holding, holding.transaction():
        holding.execute("SELECT FROM read.checkpoints FOR UPDATE")  # no projection moves on
        world.approved_erasure()
        report = world.erase("appr_1", wait_seconds=0)
        assert not report.ok
        assert report.rows_left["people"] == 1
        assert any("Not yet cleared" in line for line in erasing.in_words(report))
    assert world.erase("appr_1").ok


def test_a_person_is_erased_while_they_act(world: World) -> None:
    """Commands under way are accepted or refused, money moves, and no text that came late can be read."""
    words = Words(1)
    world.do(*registered(ADA, words))
    account, other = world.service.account("500.00", owner=ADA, name=words.one()), world.service.account()
    world.approved_erasure()

    def act(number: int) -> int:
        word = words.one()
        moved = {"source": account, "target": other, "amount": "1.00", "currency": "EUR", "description": word}
        code: int = world.service.post("transfers", moved, key=f"late-{number}").status_code
        profile = by_self(ChangeProfile(ADA, words.one()))
        with suppress(RejectedError):  # the key was erased
            answered(world, profile)
        return code

    with ThreadPoolExecutor(4) as pool:
        acting = [pool.submit(act, number) for number in range(100)]
        report = world.erase("appr_1")
        codes = {one.result() for one in acting}
    assert codes <= {201, 400, 422}, "400: nothing is sealed with a key that is destroyed"
    assert report.ok
    position = world.service.last["position"]
    world.service.get("accounts", min_position=position)
    wait_until(lambda: world.where(words.used) == set(), "nothing can be read")
    world.verified()


def rows_of(archive: ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def exported(world: World, approval: str, path: Path) -> Any:
    with connect(world.database.audit_url, application_name="keys") as keys:
        return export_person(world.side, world.reading, codec_of(keys, 1), world.credentials, approval, path)


def test_an_export_has_everything_about_the_person_and_nothing_about_others(world: World, tmp_path: Path) -> None:
    hers, his = Words(1), Words(2)
    a_life(world, ADA, hers)
    a_life(world, BOB, his)
    wait_until(lambda: {"read.people", "read.posts", "read.order_lines"} <= world.where(hers.used), "it is folded")
    world.do(By(by_person(ADA), AskForExport("appr_1", ADA)), approved("appr_1"))
    head = world.reading.execute("SELECT position FROM log.logs").fetchone()
    world.service.get("posts")
    path = tmp_path / "ada.zip"
    report = exported(world, "appr_1", path)
    assert head == (report.position,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["ada.zip"]
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        whole = "\n".join(archive.read(name).decode() for name in archive.namelist())
        assert [word for word in hers.used if word not in whole] == []
        assert [word for word in his.used if word in whole] == []
        manifest = json.loads(archive.read("manifest.json"))
        events = json.loads(archive.read("events.json"))
        people, entries = rows_of(archive, "tables/people.csv"), rows_of(archive, "tables/entries.csv")
        commands, readme = rows_of(archive, "commands.csv"), archive.read("README.txt").decode()
        credentials = json.loads(archive.read("credentials.json"))
    assert manifest["position"] == report.position
    assert manifest["files"]["events.json"] == len(events)
    assert [row["person"] for row in people] == [ADA]
    assert sorted(int(row["amount"]) for row in entries) == [100, 1000]
    assert len(commands) == manifest["files"]["commands.csv"] == 2  # the profile and the wish
    assert f"as of position {report.position}" in readme
    assert [one["session"] for one in credentials["sessions"]] == [f"ses_{ADA}"]
    assert [one["key"] for one in credentials["api_keys"]] == [f"key_{ADA}"]
    secrets = world.service.database.url, *TOKENS.values(), "hash", "sealed_key"
    assert [secret for secret in secrets if secret in json.dumps(credentials)] == []
    positions = [event["position"] for event in events]
    assert positions == sorted(positions)
    assert max(positions) <= report.position
    world.verified()


def test_an_approval_of_an_export_is_used_once(world: World, tmp_path: Path) -> None:
    world.do(*registered(ADA, Words(1)), by_administrator(AskForExport("appr_1", ADA)), approved("appr_1"))
    exported(world, "appr_1", tmp_path / "one.zip")
    with pytest.raises(RequestError, match="was used or replaced"):
        exported(world, "appr_1", tmp_path / "two.zip")
    assert [one.name for one in tmp_path.iterdir()] == ["one.zip"]


def test_an_export_that_fails_leaves_no_file_and_can_be_started_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.do(*registered(ADA, Words(1)), by_administrator(AskForExport("appr_1", ADA)), approved("appr_1"))

    def failing(*arguments: Any) -> Any:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("workers.privacy.exporting.carry_out", failing)
        with pytest.raises(KilledError):
            exported(world, "appr_1", tmp_path / "ada.zip")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "ada.zip.partial").write_bytes(b"of an export that was killed")
    (tmp_path / "there.zip").write_bytes(b"something else")
    with pytest.raises(FileExistsError):
        exported(world, "appr_1", tmp_path / "there.zip")
    exported(world, "appr_1", tmp_path / "ada.zip")
    assert (tmp_path / "there.zip").read_bytes() == b"something else"


def token_of(world: World, principal: Principal) -> str:
    """A token of this person, as a session would give."""
    text = f"secret-of-{principal.id}"
    world.service.grants[digest(text)] = TokenHolder(principal)
    return text


def test_two_persons_decide_over_http(world: World) -> None:
    """Ada asks for herself and for nobody else; an administrator approves what another person asked for."""
    world.do(*registered(ADA, Words(1)), *registered(BOB, Words(2)))
    post, get = world.service.post, world.service.get
    ada = token_of(world, by_person(ADA))
    first, second = (token_of(world, by_person(id, "administrator")) for id in ("prsn_first", "prsn_second"))
    assert post(f"people/{BOB}/erasures", token=ada).status_code == 403
    assert post(f"people/{ADA}/legal-holds", {"ground": "case-7", "reason": "r"}, token=ada).status_code == 403
    own = post(f"people/{ADA}/erasures", token=ada)
    asked = post(f"people/{BOB}/erasures", token=first)
    assert (own.status_code, asked.status_code) == (201, 201), own.text
    hers, his = (f"privacy-requests/{one.json()['approval']}" for one in (own, asked))
    assert post(f"{hers}/approve", token=ada).status_code == 403
    alone = post(f"{his}/approve", token=first)
    assert (alone.status_code, alone.json()["code"]) == (422, "approval_by_self")
    placed_hold = post(f"people/{ADA}/legal-holds", {"ground": "case-7", "reason": "A lawsuit"}, token=first)
    assert placed_hold.status_code == 201, placed_hold.text
    held = post(f"{hers}/approve", token=first)
    assert (held.status_code, held.json()["code"], held.json()["figures"]["ground"]) == (422, "legal_hold", "case-7")
    lifted_hold = post(f"people/{ADA}/legal-holds/lift", {"ground": "case-7", "reason": "It is over"}, token=second)
    assert lifted_hold.status_code == 200, lifted_hold.text
    listed = get("approvals", token=first, outcome="open").json()["items"]
    assert [(one["about"], one["by"], one["action"]) for one in listed] == [
        (ADA, ADA, "person.erase"),
        (BOB, "prsn_first", "person.erase"),
    ]
    assert get("approvals", token=ada, fresh=False).status_code == 403
    assert post(f"{hers}/approve", token=first).status_code == 200
    assert post(f"{his}/reject", token=second).status_code == 200
    outcomes = get("approvals", token=second, action="person.erase").json()["items"]
    assert [(one["outcome"], one["decided_by"]) for one in outcomes] == [
        ("approved", "prsn_first"),
        ("rejected", "prsn_second"),
    ]
    assert get("approvals", token=second, outcome="open").json()["items"] == []
    assert world.erase(own.json()["approval"]).ok
    with pytest.raises(RequestError, match="is rejected"):
        world.erase(asked.json()["approval"], "another key")


def test_the_commands(world: World, tmp_path: Path) -> None:
    """Both of them, with the report as JSON, and what is refused with exit code 3 and a sentence."""
    world.do(*registered(ADA, Words(1)), by_administrator(AskForExport("appr_1", ADA)), approved("appr_1"))
    env, path = environment(world.database), tmp_path / "ada.zip"
    done = daybook("people", "export", "appr_1", "--to", str(path), "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["person"] == ADA
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = daybook("people", "erase", "appr_1", "--key", "4711", env=env)
    assert (refused.returncode, "no request appr_1 for person.erase" in refused.stderr) == (3, True)
    world.approved_erasure(approval="appr_2")
    alone = daybook("erase-subject", ADA, "--key", "4711", env=env)
    assert (alone.returncode, "two administrators decide" in alone.stderr) == (3, True)
    erased = daybook("people", "erase", "appr_2", "--key", "4711", "--json", env=env)
    assert erased.returncode == 0, erased.stdout + erased.stderr
    report = json.loads(erased.stdout)
    assert (report["ok"], report["person"], report["key_destroyed"]) == (True, ADA, True)
    backups = next(one for one in report["remaining"] if "backups" in one["what"])
    assert backups["until"] is not None
    for key in ("", "x" * 201, "ä"):
        assert daybook("people", "erase", "appr_2", "--key", key, env=env).returncode == 3


def test_the_how_to(world: World, tmp_path: Path) -> None:
    """The commands of the page are run as they stand there."""
    world.do(*registered(ADA, Words(1)))
    world.do(by_administrator(AskForExport("appr_1", ADA)), approved("appr_1"))
    world.approved_erasure(approval="appr_2")
    exporting, erasure, checking = re.findall(r"```sh\ndaybook (.*?)\n```", HOW_TO.read_text(), re.DOTALL)
    env = environment(world.database)
    lines = (exporting.replace("ada.zip", str(tmp_path / "ada.zip")), erasure)
    done = [daybook(*shlex.split(line), env=env) for line in lines]
    assert [one.returncode for one in done] == [0, 0], done
    assert "The key is destroyed." in done[1].stdout
    assert "Remains until" in done[1].stdout
    assert (tmp_path / "ada.zip").exists()
    assert daybook(*shlex.split(checking), env=env).returncode == 0
