"""The routes of the transparency log: checkpoint, tiles and entries as C2SP `tlog-tiles` lays them out, and proofs."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from psycopg import Connection
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.documented import READ
from api.gateway.principals import AUDITORS, READERS
from api.gateway.problems import Problem
from api.queries.query import query
from api.queries.responses import json_response
from api.queries.snapshot import snapshot
from api.services import services
from eventstore.proof.merkle import HASH_BYTES, Node, consistency_proof, inclusion_proof, root
from eventstore.proof.store import (
    Tree,
    covering_checkpoint,
    head_checkpoint,
    head_proof,
    last_checkpoint,
    last_heads,
    read_keys,
    read_leaves,
    read_tree,
    tile_reader,
)
from eventstore.proof.tiles import WIDTH, Named, Tile, TilePathError, parse_path, reader_of, width_at
from eventstore.proof.witnesses import MOST_COSIGNATURES, checkpoint_note, read_witnesses, witnessed_checkpoint

router = APIRouter(prefix="/v1/proof", tags=["proof"])

TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"
_NOT_SIGNED = "No checkpoint was signed yet: daybook seal signs them."
MOST_ENTRY_BYTES = 2**16 - 1
"""The longest entry that a bundle can have: its length has two bytes."""


class InclusionProof(TypedDict):
    """That an event is in the tree, from its leaf up to the root."""

    position: int
    index: Annotated[int, Field(description="The number of the leaf, from 0: the position less one")]
    leaf: Annotated[str, Field(description="The hash of the leaf, in base64")]
    size: Annotated[int, Field(description="Leaves of the tree")]
    root: Annotated[str, Field(description="Its root, in base64")]
    proof: Annotated[list[str], Field(description="The hashes beside the path to the root, in base64")]
    checkpoint: Annotated[str | None, Field(description="The signed note of this size; null if none was signed")]


class ConsistencyProof(TypedDict):
    """That one tree is the beginning of another."""

    old: Annotated[int, Field(description="Leaves of the older tree")]
    old_root: Annotated[str, Field(description="Its root, in base64")]
    new: Annotated[int, Field(description="Leaves of the newer tree")]
    new_root: Annotated[str, Field(description="Its root, in base64")]
    proof: Annotated[list[str], Field(description="The hashes, in base64")]


class StreamHead(TypedDict):
    """That a stream has exactly so many events at the size of a checkpoint, from its head up to the root."""

    stream: str
    version: Annotated[int, Field(description="The number of its events")]
    position: Annotated[int, Field(description="The position of the last one")]
    index: Annotated[int, Field(description="The number of its head in its bucket, from 0")]
    streams: Annotated[int, Field(description="Heads of the bucket")]
    bucket: Annotated[list[str], Field(description="The hashes beside the path to the root of the bucket, in base64")]
    top: Annotated[list[str], Field(description="The 16 hashes from there to the root over the buckets, in base64")]
    root: Annotated[str, Field(description="The root over the buckets, in base64")]
    size: Annotated[int, Field(description="Leaves of the tree: later events of the stream do not count")]
    checkpoint: Annotated[str, Field(description="The signed note of this size, whose extension line has the root")]


class ProofKey(TypedDict):
    """A public key that checkpoints were signed with."""

    key: Annotated[str, Field(description="Name, id and base64, as C2SP `signed-note` writes a key")]
    since: Annotated[datetime, Field(description="When it signed first")]
    size: Annotated[int, Field(description="Leaves of the tree at that moment")]


class ProofWitness(TypedDict):
    """A witness that has cosigned checkpoints."""

    key: Annotated[str, Field(description="Its public key: name, id and base64")]
    size: Annotated[int, Field(description="Leaves of the largest tree that it has cosigned")]
    signed_at: Annotated[datetime, Field(description="When, by its clock")]


class ProofWitnesses(TypedDict):
    """The witnesses, by their names."""

    origin: Annotated[str, Field(description="The first line of the checkpoints")]
    items: list[ProofWitness]


class ProofKeys(TypedDict):
    """The keys of the log, the newest first."""

    origin: Annotated[str, Field(description="The first line of the checkpoints")]
    items: list[ProofKey]


Size = Annotated[int | None, Query(ge=1, lt=2**63, description="Leaves of the tree. Unset: the first checkpoint")]
TilePath = Annotated[str, Path(max_length=60, pattern=r"^[0-9x./p]+$")]


def _bytes(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {**READ, 200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


@query(
    router,
    "/checkpoint",
    may=READERS,
    response=None,
    answers=_bytes("text/plain"),
    response_class=Response,
    personal=False,
)
def get_checkpoint(
    request: Request,
    witnessed: Annotated[
        int,
        Query(
            ge=0, le=MOST_COSIGNATURES, description="Cosignatures that it has at least. The newest may have none yet"
        ),
    ] = 0,
) -> Response:
    """Get the newest checkpoint: a signed note with origin, size and root of the tree, and the cosignatures."""
    served = services(request)
    with served.reads() as connection:
        if witnessed:
            found = witnessed_checkpoint(connection, served.log_number, witnessed)
        else:
            found = last_checkpoint(connection, served.log_number)
        if found is None:
            why = f"No newer checkpoint has {witnessed} cosignatures." if witnessed else _NOT_SIGNED
            raise Problem("unknown", why, kind="checkpoint", id="last")
        note = checkpoint_note(connection, served.log_number, found.size)
    return Response(note.encode(), media_type=TEXT)


@query(router, "/witnesses", may=READERS, response=ProofWitnesses, personal=False)
def get_proof_witnesses(request: Request) -> Response:
    """Get the witnesses that have cosigned checkpoints: how far each is, and when it signed last."""
    served = services(request)
    with served.reads() as connection:
        tree = _tree(connection, served.log_number)
        found = read_witnesses(connection, served.log_number)
    items = [{"key": one.verifier, "size": one.size, "signed_at": one.signed_at} for one in found]
    return json_response({"origin": tree.origin, "items": items}, items=len(items))


@query(router, "/keys", may=READERS, response=ProofKeys, personal=False)
def get_proof_keys(request: Request) -> Response:
    """Get the public keys of the checkpoints, the newest first, each since when it signs."""
    served = services(request)
    with served.reads() as connection:
        tree = _tree(connection, served.log_number)
        keys = read_keys(connection, served.log_number)
    items = [{"key": one.verifier, "since": one.since, "size": one.size} for one in reversed(keys)]
    return json_response({"origin": tree.origin, "items": items}, items=len(items))


@query(
    router,
    "/tile/entries/{path:path}",
    may=AUDITORS,
    response=None,
    answers=_bytes(BYTES),
    response_class=Response,
    personal=True,
)
def get_entries(request: Request, path: TilePath) -> Response:
    """Get the bytes of leaves, each after its length in two bytes: `…/entries/000`, or `…/entries/000.p/5` for five."""
    served = services(request)
    with served.reads() as connection:
        tile = _existing(connection, served.log_number, f"tile/entries/{path}")
        first = tile.number * WIDTH
        leaves = read_leaves(connection, served.log_number, first, first + tile.width)
    if (longest := max(map(len, leaves), default=0)) > MOST_ENTRY_BYTES:
        raise Problem(
            "unknown",
            f"An entry has {longest} bytes, and a bundle has entries of {MOST_ENTRY_BYTES} at most: read the log.",
            kind="entries",
            id=path,
        )
    return Response(b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves), media_type=BYTES)


@query(
    router,
    "/tile/{path:path}",
    may=READERS,
    response=None,
    answers=_bytes(BYTES),
    response_class=Response,
    personal=False,
)
def get_tile(request: Request, path: TilePath) -> Response:
    """Get a tile of the tree: hashes of 32 bytes, joined. `…/tile/0/000` is full, and `…/tile/0/000.p/5` has five."""
    served = services(request)
    with served.reads() as connection:
        tile = _existing(connection, served.log_number, f"tile/{path}")
        [hashes] = tile_reader(connection, served.log_number)([tile])
    return Response(hashes[: tile.width * HASH_BYTES], media_type=BYTES)


@query(router, "/inclusion", may=READERS, response=InclusionProof, personal=False)
def get_inclusion(
    request: Request,
    position: Annotated[int, Query(ge=1, lt=2**63, description="The position of the event")],
    size: Size = None,
) -> Response:
    """Get the proof that an event is in the tree of this size, or of the first checkpoint that covers it."""
    served = services(request)
    with served.reads() as connection, snapshot(connection):
        tree = _tree(connection, served.log_number)
        found = covering_checkpoint(connection, served.log_number, size or position)
        if size is None:
            if found is None:
                raise Problem(
                    "unknown", f"No checkpoint covers position {position} yet.", kind="event", id=str(position)
                )
            size = found.size
        _must_have(tree, size)
        if position > size:
            raise Problem("malformed", f"The tree of {size} leaves has no event {position}.")
        read = reader_of(size, tile_reader(connection, served.log_number))
        [leaf] = read([Node(0, position - 1)])
        proof, top = inclusion_proof(position - 1, size, read), root(size, read)
        signed = found is not None and found.size == size
        note = checkpoint_note(connection, served.log_number, size) if signed else None
    answer: InclusionProof = {
        "position": position,
        "index": position - 1,
        "leaf": _text(leaf),
        "size": size,
        "root": _text(top),
        "proof": [_text(hash) for hash in proof],
        "checkpoint": note,
    }
    return json_response(answer)


@query(router, "/consistency", may=READERS, response=ConsistencyProof, personal=False)
def get_consistency(
    request: Request,
    old: Annotated[int, Query(alias="from", ge=1, lt=2**63, description="Leaves of the older tree")],
    new: Annotated[int, Query(alias="to", ge=1, lt=2**63, description="Leaves of the newer tree")],
) -> Response:
    """Get the proof that the older tree is the beginning of the newer one."""
    served = services(request)
    if old > new:
        raise Problem("malformed", f"A tree of {old} leaves cannot be the beginning of one of {new}.")
    with served.reads() as connection:
        _must_have(_tree(connection, served.log_number), new)
        read = reader_of(new, tile_reader(connection, served.log_number))
        proof, roots = consistency_proof(old, new, read), [root(size, read) for size in (old, new)]
    answer: ConsistencyProof = {
        "old": old,
        "old_root": _text(roots[0]),
        "new": new,
        "new_root": _text(roots[1]),
        "proof": [_text(hash) for hash in proof],
    }
    return json_response(answer)


@query(router, "/head", may=AUDITORS, response=StreamHead, personal=True)
def get_stream_head(
    request: Request,
    stream: Annotated[str, Query(max_length=200, pattern=r"^[!-~]+$", description="The name of the stream")],
) -> Response:
    """Get the proof of how many events a stream has, at the last checkpoint that commits to the heads of streams."""
    served = services(request)
    with served.reads() as connection, snapshot(connection):
        heads = last_heads(connection, served.log_number)
        checkpoint = head_checkpoint(connection, served.log_number)
        if heads is None or checkpoint is None:
            raise Problem(
                "unknown", "No checkpoint commits to the heads of streams yet: daybook seal does it.",
                kind="checkpoint", id="heads",
            )  # fmt: skip
        proof = head_proof(connection, served.log_number, stream)
    if proof is None:
        raise Problem(
            "unknown", f"Up to position {heads.size}, where the heads of streams were last signed, there is no stream "
            f"{stream}.", kind="stream", id=stream,
        )  # fmt: skip
    answer: StreamHead = {
        "stream": stream,
        "version": proof.version,
        "position": proof.position,
        "index": proof.index,
        "streams": proof.streams,
        "bucket": [_text(hash) for hash in proof.bucket],
        "top": [_text(hash) for hash in proof.top],
        "root": _text(heads.root),
        "size": heads.size,
        "checkpoint": checkpoint.note,
    }
    return json_response(answer)


def _tree(connection: Connection[Any], log_number: int) -> Tree:
    tree = read_tree(connection, log_number)
    if tree is None:
        raise Problem("unknown", "The log is not sealed: daybook seal does it.", kind="tree", id="log")
    return tree


def _must_have(tree: Tree, size: int) -> None:
    if size > tree.size:
        raise Problem("unknown", f"The tree has {tree.size} leaves, not {size}.", kind="tree", id=str(size))


def _existing(connection: Connection[Any], log_number: int, path: str) -> Tile:
    """The tile that a path names, if the tree has it. Raises `Problem`."""
    try:
        named: Named = parse_path(path)
    except TilePathError as error:
        raise Problem("unknown", f"There is no {path}: {error}.", kind="tile", id=path) from None
    tile = named.tile
    if width_at(tile.level, tile.number, _tree(connection, log_number).size) < tile.width:
        raise Problem("unknown", f"The tree has no {path} yet.", kind="tile", id=path)
    return tile


def _text(hash: bytes) -> str:
    return b64encode(hash).decode()
