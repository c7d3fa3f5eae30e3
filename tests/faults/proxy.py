"""A proxy between a process and PostgreSQL that can lose connections at a chosen message, in either direction.

It speaks PostgreSQL's framing (protocol 3): a start-up packet without a type, then messages of a type byte and an int32
length that counts itself.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from tests.faults.seeds import seeded

Way = Literal["to the server", "to the client"]
Verdict = Literal["pass", "cut", "swallow"]
"""What happens to a message: `pass`: it is passed on; `cut`: a part of it is, then the connection is closed; `swallow`:
it is dropped, then the connection is closed."""

Judge = Callable[[int, Way, bytes, bytes], Verdict]
"""(number of the connection, direction, type of the message, its content) → what happens to it."""


def let_pass(connection: int, way: Way, kind: bytes, content: bytes) -> Verdict:
    """Pass every message on."""
    return "pass"


@dataclass
class Turns:
    """Chooses the messages at which a fault is made, for each direction of a connection, at random intervals.

    Each direction of a connection has a separate generator, because a separate thread carries it.
    """

    seed: int
    draw: Callable[[Random, Way], int]
    _random: dict[tuple[int, Way], Random] = field(default_factory=dict)
    _left: dict[tuple[int, Way], int] = field(default_factory=dict)

    def come(self, connection: int, way: Way) -> bool:
        """Whether a fault is due at this message. Call it once for each message."""
        place = connection, way
        if self._left.get(place, 0) == 0:
            random = self._random.setdefault(place, seeded(self.seed, connection, way))
            self._left[place] = self.draw(random, way)
        self._left[place] -= 1
        return self._left[place] == 0


@dataclass
class Proxy:
    """Listens on a local port, and passes connections on to the socket of the server."""

    socket_file: Path
    judge: Judge = let_pass
    port: int = 0
    connections: int = 0
    _listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = self._listening.getsockname()[1]

    def url(self, database: str) -> str:
        """The URL of a database through this proxy, for the superuser of the socket."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?sslmode=disable&gssencmode=disable"

    def cut(self) -> None:
        """Close every connection."""
        with self._lock:
            doomed = list(self._open)
        for one in doomed:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Accept until closed."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.socket_file))
            except OSError:
                client.close()
                server.close()
                continue
            self.connections += 1
            number = self.connections
            with self._lock:
                self._open |= {client, server}
            for way, source, target in (("to the server", client, server), ("to the client", server, client)):
                thread = threading.Thread(target=self._pass_on, args=(number, way, source, target), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _pass_on(self, number: int, way: Way, source: socket.socket, target: socket.socket) -> None:
        started = way == "to the client"
        try:
            with source.makefile("rb") as incoming:
                while True:
                    kind = b""
                    if started:
                        kind = incoming.read(1)
                        if not kind:
                            break
                    header = incoming.read(4)
                    if len(header) < 4:
                        break
                    content = incoming.read(struct.unpack(">i", header)[0] - 4)
                    started = True
                    verdict = self.judge(number, way, kind, content)
                    if verdict == "cut":
                        target.sendall((kind + header + content)[: len(content) // 2])
                        break
                    if verdict == "swallow":
                        break
                    target.sendall(kind + header + content)
        except OSError:
            pass
        finally:
            for one in (source, target):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening, and close every connection."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()


@contextmanager
def proxied(socket_file: Path, judge: Judge = let_pass) -> Iterator[Proxy]:
    """A proxy that listens until the block ends."""
    proxy = Proxy(socket_file, judge)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
