"""The routes of the transparency log: a stranger verifies what they answer, with nothing but the key."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from psycopg import Connection

from api.system import proof
from eventstore.log.leaf import leaf_hash
from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.cosignatures import Witness, cosign
from eventstore.proof.heads import HeadProof, heads_of, verify_head
from eventstore.proof.merkle import verify_consistency, verify_inclusion
from eventstore.proof.notes import Verifies, parse_note, parse_verifier
from eventstore.proof.store import Tree, read_tree
from eventstore.proof.witnesses import checkpoint_note, keep_cosignature
from tests.support.merkle import naive_root
from tests.support.postgres import Database, Server
from tests.support.sealing import ORIGIN, PACE, Sealing, sealing_on
from tests.support.service import TOKENS, Service, service_on
from tests.support.witnessing import WITNESS


@pytest.fixture(scope="module")
def database(postgres18: Server) -> Iterator[Database]:
    with postgres18.database() as made:
        yield made


@pytest.fixture(scope="module")
def service(database: Database) -> Iterator[Service]:
    with service_on(database) as running:
        unsealed = running.get("proof/checkpoint")
        assert unsealed.status_code == 404
        assert "daybook seal" in unsealed.json()["detail"]
        assert running.get("proof/keys").status_code == 404
        without = running.get("proof/head", role="audit", stream=running.account())
        assert without.status_code == 404
        assert "No checkpoint commits to the heads of streams yet" in without.json()["detail"]
        assert running.get("proof/witnesses").status_code == 404
        yield running


@pytest.fixture(scope="module")
def sizes(database: Database, service: Service) -> list[int]:
    """The sizes of two checkpoints; the first covers more than a tile."""
    found = []
    with sealing_on(database) as sealing:
        sealer = sealing.sealer()
        for number in (80, 1):
            for _ in range(number):
                service.account("1.00")
            sealer.turn()
            found.append(size_of(sealing))
            sealing.now += PACE  # less than that of heads: only the first checkpoint has them
    return found


def read(service: Service, target: str, role: str = "command") -> httpx.Response:
    path, _, asked = target.partition("?")
    parameters: dict[str, Any] = dict(parse_qsl(asked))
    return service.get(path, role=role, **parameters)


def size_of(sealing: Sealing) -> int:
    last = sealing.last()
    assert last is not None
    return last.size


def test_a_stranger_verifies_everything_from_the_answers(service: Service, sizes: list[int]) -> None:
    keys = service.get("proof/keys").json()
    assert keys["origin"] == ORIGIN
    note = service.get("proof/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    known = [parse_verifier(one["key"]) for one in keys["items"]]
    head = open_checkpoint(note.content, ORIGIN, known).checkpoint
    old, new = sizes
    assert head.size == new
    assert 300 < new < 512, "a full tile and a partial one"

    full, rest = service.get("proof/tile/0/000").content, service.get(f"proof/tile/0/001.p/{new - 256}").content
    hashes = [(full + rest)[at : at + 32] for at in range(0, new * 32, 32)]
    assert len(full) == 8192
    assert naive_root(hashes) == head.root
    assert service.get("proof/tile/0/000.p/5").content == full[: 5 * 32]
    assert service.get("proof/tile/1/000.p/1").content == naive_root(hashes[:256])

    entries = service.get("proof/tile/entries/000.p/7", role="audit").content
    for hash in hashes[:7]:
        length = int.from_bytes(entries[:2], "big")
        assert leaf_hash(entries[2 : 2 + length]) == hash
        entries = entries[2 + length :]
    assert not entries

    for position in (1, 256, old):
        answer = service.get("proof/inclusion", position=position).json()
        assert answer["size"] == old
        top, leaf = b64decode(answer["root"]), b64decode(answer["leaf"])
        assert open_checkpoint(answer["checkpoint"].encode(), ORIGIN, known).checkpoint.root == top
        assert leaf == hashes[position - 1]
        verify_inclusion(position - 1, old, leaf, [b64decode(one) for one in answer["proof"]], top)
    between = service.get("proof/inclusion", position=1, size=300).json()
    assert between["checkpoint"] is None
    assert b64decode(between["root"]) == naive_root(hashes[:300])

    answer = read(service, f"proof/consistency?from={old}&to={new}").json()
    proof = [b64decode(one) for one in answer["proof"]]
    verify_consistency(old, new, b64decode(answer["old_root"]), head.root, proof)


def test_checkpoints_are_served_with_their_cosignatures(database: Database, service: Service, sizes: list[int]) -> None:
    old, new = sizes
    empty = {"origin": ORIGIN, "items": []}
    assert service.get("proof/witnesses").json() == empty
    assert service.get("proof/checkpoint", witnessed=1).status_code == 404
    with sealing_on(database) as sealing:
        connection, log_number = sealing.connection, sealing.log_number
        note = checkpoint_note(connection, log_number, old)
        cosignature = cosign(WITNESS, parse_note(note.encode()).text, sealing.now)
        keep_cosignature(connection, log_number, str(WITNESS.verifier), old, cosignature.line[:-1], sealing.now)
    known = [parse_verifier(one["key"]) for one in service.get("proof/keys").json()["items"]]
    both: list[Verifies] = [*known, Witness(WITNESS.verifier)]
    for witnessed, size, signatures in ((0, new, 1), (1, old, 2)):
        answer = service.get("proof/checkpoint", witnessed=witnessed)
        opened = open_checkpoint(answer.content, ORIGIN, both)
        assert (opened.checkpoint.size, len(opened.note.verified)) == (size, signatures)
    assert service.get("proof/checkpoint", witnessed=2).status_code == 404
    assert service.get("proof/checkpoint", witnessed=1000).status_code == 400
    opened = open_checkpoint(service.get("proof/inclusion", position=1).json()["checkpoint"].encode(), ORIGIN, both)
    assert len(opened.note.verified) == 2
    [witness] = service.get("proof/witnesses").json()["items"]
    assert (witness["key"], witness["size"]) == (str(WITNESS.verifier), old)
    assert datetime.fromisoformat(witness["signed_at"]) == sealing.now


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("proof/tile/0/002", 404),
        ("proof/tile/0/001", 404),
        ("proof/tile/0/1", 404),
        ("proof/tile/9/000", 404),
        ("proof/tile/0/000.p/256", 404),
        ("proof/inclusion?position=0", 400),
        ("proof/inclusion?position=100000", 404),
        ("proof/inclusion?position=5&size=4", 400),
        ("proof/inclusion?position=1&size=100000", 404),
        ("proof/consistency?from=2&to=1", 400),
        ("proof/consistency?from=1&to=100000", 404),
        ("proof/head", 400),
        ("proof/head?stream=a%20b", 400),
        ("proof/head?stream=acct_none", 404),
    ],
)
def test_what_is_not_there_is_a_problem(service: Service, sizes: list[int], path: str, status: int) -> None:
    answer = read(service, path, "audit")
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_entries_are_for_auditors(service: Service, sizes: list[int]) -> None:
    assert service.get("proof/tile/entries/000", role="audit").status_code == 200
    assert service.get("proof/tile/entries/000", role="operator").status_code == 200
    for role in ("command", "report"):
        assert service.get("proof/tile/entries/000", role=role).status_code == 403
        assert service.get("proof/tile/0/000", role=role).status_code == 200


def test_a_stranger_verifies_that_no_event_of_a_stream_was_left_out(service: Service, sizes: list[int]) -> None:
    keys = [parse_verifier(one["key"]) for one in service.get("proof/keys").json()["items"]]
    events = service.get("log", role="audit", limit=200).json()["events"]
    for stream in {event["stream"] for event in events}:
        answer = service.get("proof/head", role="audit", stream=stream).json()
        checkpoint = open_checkpoint(answer["checkpoint"].encode(), ORIGIN, keys).checkpoint
        assert checkpoint.size == answer["size"] == sizes[0]
        heads = heads_of(checkpoint)
        assert heads is not None
        assert b64decode(answer["root"]) == heads.root
        members = {name: answer[name] for name in ("stream", "version", "position", "index", "streams")}
        bucket, top = ([b64decode(one) for one in answer[name]] for name in ("bucket", "top"))
        verify_head(HeadProof(**members, bucket=bucket, top=top), heads.root)
        read = service.get(f"streams/{stream}", role="audit", limit=200).json()["events"]
        assert answer["version"] == len([event for event in read if event["position"] <= sizes[0]])


def test_heads_are_for_auditors(service: Service, sizes: list[int]) -> None:
    [event] = service.get("log", role="audit", limit=1).json()["events"][:1]
    for role, status in (("audit", 200), ("operator", 200), ("command", 403), ("report", 403)):
        assert service.get("proof/head", role=role, stream=event["stream"]).status_code == status


def test_head_requests_are_as_get_requests(service: Service, sizes: list[int]) -> None:
    [event] = service.get("log", role="audit", limit=1).json()["events"][:1]
    for target in (
        *("checkpoint", "keys", "tile/0/000", "tile/entries/000.p/5", "inclusion?position=1"),
        *("consistency?from=1&to=2", f"head?stream={event['stream']}"),
    ):
        url, headers = f"/v1/proof/{target}", {"Authorization": f"Bearer {TOKENS['audit']}"}
        got, head = service.http.get(url, headers=headers), service.http.head(url, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert got.status_code == 200
        for name in ("content-type", "content-length"):
            assert head.headers[name] == got.headers[name]


def test_a_checkpoint_that_is_signed_during_a_request_is_for_the_next_one(
    postgres18: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a database of its own: the others ask for the newest checkpoint."""
    with postgres18.database() as database, service_on(database) as service, sealing_on(database) as sealing:
        sealer = sealing.sealer()
        sealer.turn()
        sealing.now += PACE
        service.account()

        def read_before(connection: Connection[Any], log_number: int) -> Tree | None:
            tree = read_tree(connection, log_number)
            sealer.turn()
            return tree

        monkeypatch.setattr(proof, "read_tree", read_before)
        position = size_of(sealing) + 1
        answer = service.get("proof/inclusion", position=position)
        assert answer.json()["detail"] == f"No checkpoint covers position {position} yet."
        assert service.get("proof/inclusion", position=position).json()["size"] == size_of(sealing)
