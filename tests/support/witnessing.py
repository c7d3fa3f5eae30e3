"""A witness on this machine, a log in memory that it can be asked about, and witnesses that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

import httpx

from eventstore.proof.add_checkpoint import PATH, AddCheckpoint, parse_request
from eventstore.proof.checkpoints import Checkpoint, parse_checkpoint
from eventstore.proof.cosignatures import cosign
from eventstore.proof.notes import COSIGNATURE, Signer, Verifier, parse_note
from tests.support.merkle import hashes_of, naive_proof, naive_root
from tests.support.service import CLIENT_SECONDS, served
from workers.witness.heads import Heads, make_heads
from workers.witness.serving import FILE, application_of
from workers.witness.witness import Witness

NAME: Final = "auditor.example/witness"
WITNESS: Final = Signer(NAME, b"w" * 32, COSIGNATURE)
LOG: Final = Signer("ledger.example/main", b"l" * 32)
BEGIN: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)


@dataclass
class MemoryLog:
    """A log of so many leaves, and the requests that it sends."""

    signers: Sequence[Signer] = (LOG,)
    hashes: list[bytes] = field(default_factory=lambda: hashes_of(40))
    origin: str = LOG.name
    extensions: tuple[str, ...] = ()

    def note(self, size: int) -> bytes:
        """The signed checkpoint."""
        root = naive_root(self.hashes[:size])
        return str(Checkpoint(self.origin, size, root, self.extensions).sign(self.signers)).encode()

    def request(self, old: int, size: int) -> bytes:
        """The body that asks for a cosignature."""
        proof = naive_proof(old, self.hashes[:size]) if 0 < old <= size else []
        return AddCheckpoint(old, tuple(proof), self.note(size)).body


@dataclass
class Running:
    """A witness that is served. `now` is its clock."""

    url: str
    now: datetime = BEGIN

    def asked(self, body: bytes) -> httpx.Response:
        """The answer to a request."""
        return httpx.post(self.url + PATH, content=body, timeout=CLIENT_SECONDS)

    def read(self, path: str = "") -> httpx.Response:
        """The answer to a GET."""
        return httpx.get(self.url + path, timeout=CLIENT_SECONDS)


@contextmanager
def witness_on(
    folder: Path, logs: dict[str, list[Verifier]] | None = None, signer: Signer = WITNESS
) -> Iterator[Running]:
    """A witness with its file in this folder, which is made if it is not there."""
    if not (folder / FILE).exists():
        make_heads(folder / FILE)
    running = Running("")
    with Heads(folder / FILE) as heads:
        known = {LOG.name: [LOG.verifier]} if logs is None else logs
        with served(application_of(Witness(signer, known, heads, lambda: running.now))) as url:
            running.url = url
            yield running


Lie = Callable[[AddCheckpoint], bytes]
"""The bytes of the whole answer to a request."""


def answer(status: str, body: bytes | str, kind: str = "text/plain") -> bytes:
    """An answer as it goes over the connection."""
    raw = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


def conflict(size: int | str) -> bytes:
    """The answer of a witness that remembers another size."""
    return answer("409 Conflict", f"{size}\n", "text/x.tlog.size")


def cosigned(asked: AddCheckpoint, at: datetime, signer: Signer = WITNESS) -> bytes:
    """The answer of a witness that cosigns whatever comes."""
    return answer("200 OK", cosign(signer, parse_note(asked.note).text, at).line)


def size_of(asked: AddCheckpoint) -> int:
    """The leaves of the checkpoint of a request."""
    return parse_checkpoint(parse_note(asked.note).text).size


@dataclass
class Liar:
    """A witness that answers as a test wants: each request by the next lie, and the last one again and again."""

    url: str = ""
    lies: list[Lie] = field(default_factory=list)
    asked: list[AddCheckpoint] = field(default_factory=list)
    held: Event = field(default_factory=Event)
    """While it is not set, no request is answered."""
    lock: Lock = field(default_factory=Lock)


@contextmanager
def liar(*lies: Lie) -> Iterator[Liar]:
    """A running liar on a free port of this machine."""
    made = Liar(lies=list(lies))
    made.held.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_request(self.rfile.read(int(self.headers["content-length"])))
            with made.lock:
                made.asked.append(asked)
                lie = made.lies.pop(0) if len(made.lies) > 1 else made.lies[0]
            made.held.wait(60)
            self.wfile.write(lie(asked))

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has left is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/of/an/auditor"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.held.set()
        server.shutdown()
        thread.join()
        server.server_close()


SECOND: Final = timedelta(seconds=1)
