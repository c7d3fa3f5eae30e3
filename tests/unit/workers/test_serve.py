"""An API process: its CPU, its files, its keys."""

from __future__ import annotations

import multiprocessing
import os
import resource
from base64 import b64encode
from typing import Any

import pytest

from api.gateway.tickets import Tickets
from workers.serve import FILES_BESIDE, Managed, allow_connections, share_one_cpu
from workers.settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("settings", "process", "expected"),
    [
        ({"port": 8100}, "MainProcess", [{4}]),
        ({"port": 8101}, "MainProcess", [{5}]),
        ({"cpu": 0}, "SpawnProcess-1", [{5}]),
        ({"cpu": 0}, "SpawnProcess-2", [{7}]),
        ({"cpu": 5}, "SpawnProcess-1", [{4}]),
        ({"cpu": "any"}, "SpawnProcess-1", []),
    ],
)
def test_each_process_uses_a_separate_cpu(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], process: str, expected: list[set[int]]
) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4, 5, 7})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: chosen.append(cpus))
    monkeypatch.setattr(multiprocessing.current_process(), "name", process)
    share_one_cpu(Settings(**settings))
    assert chosen == expected


@pytest.mark.parametrize(
    ("soft", "hard", "set_to"),
    [
        (1_024, 4_096, [(1_000 + FILES_BESIDE, 4_096)]),
        (1_024, resource.RLIM_INFINITY, [(1_000 + FILES_BESIDE, resource.RLIM_INFINITY)]),
        (1_000 + FILES_BESIDE, 4_096, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, []),
    ],
)
def test_a_file_may_be_open_for_each_connection(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, set_to: list[tuple[int, int]]
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, to: limits.append(to))
    allow_connections(1_000)
    assert limits == set_to


def test_more_connections_than_files_are_refused_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 512))
    with pytest.raises(SettingsError, match=r"needs 1100 open files, and the system allows 512: set it to 412,"):
        allow_connections(1_000)


def test_tickets_of_processes_with_the_previous_master_key_are_accepted() -> None:
    old, new = (b64encode(bytes([number]) * 32).decode() for number in range(2))

    def tickets(**keys: Any) -> Tickets:
        made = Managed(Settings(allowed_origins="https://a.example", **keys))._tickets()
        assert made is not None
        return made

    token = bytes(32)
    ticket = tickets(master_key=old).issue(token).text
    assert tickets(master_key=new, previous_master_key=old).redeem(ticket) == token
    assert tickets(master_key=new).redeem(ticket) is None
