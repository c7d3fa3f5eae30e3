"""A proxy in front of a listener of a broker, which loses single requests or acknowledgements.

It knows Kafka's framing: an int32 size, and then, in a request, the API's key and version (int16) and a correlation id
(int32), with which the answer begins. https://kafka.apache.org/protocol has the keys.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

PRODUCE: Final = 0
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS_TO_TXN: Final = 24
END_TXN: Final = 26

Loss = Literal["request", "answer"]
"""What is lost: a request before the broker gets it, or the answer of a request that the broker has carried out."""


class KafkaProxy:
    """Listens on a port of its own, and passes frames on to the broker."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.target = 0
        """The port of the broker's listener."""
        self.lost: list[tuple[int, Loss]] = []
        """What was lost so far."""
        self._losses: deque[tuple[int, Loss]] = deque()
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def lose(self, api: int, what: Loss, times: int = 1) -> None:
        """Lose the next request of this API, or its answer, and close its connection; so many times."""
        with self._lock:
            self._losses.extend([(api, what)] * times)

    def forgive(self) -> None:
        """Lose nothing that is not lost yet."""
        with self._lock:
            self._losses.clear()

    def cut(self) -> None:
        """Close every connection, and accept none until `mend`."""
        with self._lock:
            self._is_cut = True
            doomed = list(self._open)
        for one in doomed:
            _close(one)

    def mend(self) -> None:
        """Accept connections again."""
        self._is_cut = False

    def serve(self) -> None:
        """Accept until closed."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._is_cut:
                _close(client)
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                _close(client)
                continue
            for one in (client, broker):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, broker}
            doomed: set[int] = set()
            for pass_on in (self._requests, self._answers):
                threading.Thread(target=pass_on, args=(client, broker, doomed), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket, doomed: set[int]) -> None:
        for frame in _frames(client):
            api, _, correlation = struct.unpack(">hhi", frame[4:12])
            loss = self._due(api)
            if loss == "request":
                break
            if loss == "answer":
                doomed.add(correlation)
            try:
                broker.sendall(frame)
            except OSError:
                break
        self._end(client, broker)

    def _answers(self, client: socket.socket, broker: socket.socket, doomed: set[int]) -> None:
        for frame in _frames(broker):
            if struct.unpack(">i", frame[4:8])[0] in doomed:
                break
            try:
                client.sendall(frame)
            except OSError:
                break
        self._end(client, broker)

    def _due(self, api: int) -> Loss | None:
        with self._lock:
            if not self._losses or self._losses[0][0] != api:
                return None
            loss = self._losses.popleft()
            self.lost.append(loss)
            return loss[1]

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            _close(one)
        with self._lock:
            self._open.difference_update(sockets)

    def close(self) -> None:
        """Stop listening, and close every connection."""
        _close(self._listening)
        self.cut()


def _frames(source: socket.socket) -> Iterator[bytes]:
    with suppress(OSError), source.makefile("rb") as incoming:
        while len(size := incoming.read(4)) == 4:
            content = incoming.read(struct.unpack(">i", size)[0])
            if len(content) < 4:
                return
            yield size + content


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        one.close()


@contextmanager
def kafka_proxy() -> Iterator[KafkaProxy]:
    """A proxy that listens until the block ends. Set `target` once the broker runs."""
    proxy = KafkaProxy()
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
