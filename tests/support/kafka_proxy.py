"""A proxy in front of a listener of a broker, which loses or holds single requests, or loses acknowledgements.

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
from dataclasses import dataclass
from typing import Final, Literal

PRODUCE: Final = 0
FETCH: Final = 1
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS_TO_TXN: Final = 24
END_TXN: Final = 26

Loss = Literal["request", "answer"]
"""What is lost: a request before the broker gets it, or the answer of a request that the broker has carried out."""


class Gate:
    """Where requests wait."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        """Set once a request waits."""
        self.opened = threading.Event()


@dataclass
class _Due:
    """A loss that is still to come."""

    api: int
    what: Loss
    after: int
    """Requests of the API that pass before."""


class KafkaProxy:
    """Listens on a port of its own, and passes frames on to the broker."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.target = 0
        """The port of the broker's listener."""
        self.lost: list[tuple[int, Loss]] = []
        """What was lost so far."""
        self.refused = 0
        """Connections that were refused while it was cut."""
        self._losses: deque[_Due] = deque()
        self._gates: dict[int, Gate] = {}
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def lose(self, api: int, what: Loss, times: int = 1, *, after: int = 0) -> None:
        """Lose the next request of this API, or its answer, and close its connection; so many times.

        `after` so many requests of the API that pass. Several losses happen in the order in which they were asked for.
        """
        with self._lock:
            self._losses.extend(_Due(api, what, after if number == 0 else 0) for number in range(times))

    def forgive(self) -> None:
        """Lose nothing that is not lost yet."""
        with self._lock:
            self._losses.clear()

    @contextmanager
    def holding(self, api: int) -> Iterator[Gate]:
        """Hold each request of this API until the block ends. What follows on its connection waits behind it."""
        gate = self._gates[api] = Gate()
        try:
            yield gate
        finally:
            del self._gates[api]
            gate.opened.set()

    def cut(self) -> None:
        """Close every connection, and accept none until `mend`."""
        with self._lock:
            self._is_cut = True
            doomed = list(self._open)
        for one in doomed:
            _close(one)

    def mend(self) -> None:
        """Accept connections again."""
        with self._lock:
            self._is_cut = False

    def serve(self) -> None:
        """Accept until closed."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                _close(client)
                continue
            with self._lock:
                is_cut = self._is_cut
                if not is_cut:
                    self._open |= {client, broker}
            if is_cut:
                self.refused += 1
                _close(client)
                _close(broker)
                continue
            for one in (client, broker):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            doomed: set[int] = set()
            for pass_on in (self._requests, self._answers):
                threading.Thread(target=pass_on, args=(client, broker, doomed), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket, doomed: set[int]) -> None:
        for frame in _frames(client):
            api, _, correlation = struct.unpack(">hhi", frame[4:12])
            gate = self._gates.get(api)
            if gate is not None:
                gate.reached.set()
                gate.opened.wait()
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
            if not self._losses or self._losses[0].api != api:
                return None
            if self._losses[0].after > 0:
                self._losses[0].after -= 1
                return None
            loss = self._losses.popleft()
            self.lost.append((loss.api, loss.what))
            return loss.what

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            _close(one)
        with self._lock:
            self._open.difference_update(sockets)

    def close(self) -> None:
        """Stop listening, and close every connection."""
        _close(self._listening)
        self.cut()
        for gate in list(self._gates.values()):
            gate.opened.set()


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
