"""An API process and its CPU."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import pytest

from workers.serve import share_one_cpu
from workers.settings import Settings


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
def test_each_process_keeps_to_a_cpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], process: str, expected: list[set[int]]
) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4, 5, 7})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: chosen.append(cpus))
    monkeypatch.setattr(multiprocessing.current_process(), "name", process)
    share_one_cpu(Settings(**settings))
    assert chosen == expected
