"""Free ports are given once in a process."""

from __future__ import annotations

import socket

import pytest

from workers import ports


def test_a_port_is_given_once_although_nobody_listens_on_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports, "PORTS", 100)
    given = [ports.free_port() for _ in range(40)]
    assert len(set(given)) == len(given)


def test_a_port_that_is_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(ports, "LOWEST_PORT", taken.getsockname()[1])
        monkeypatch.setattr(ports, "PORTS", 1)
        with pytest.raises(RuntimeError, match="no port is free"):
            ports.free_port()
