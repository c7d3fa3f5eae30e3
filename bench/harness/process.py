"""Runs services in separate processes, and stops them at the end by their pid."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from workers import settings

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.01
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def running(module: str, *arguments: str, environment: Mapping[str, str], ready: Callable[[], bool]) -> Iterator[int]:
    """Run `python -m module` with these variables. Yields its pid. Raises `RuntimeError` if it is not ready in time."""
    command = [sys.executable, "-m", module, *arguments]
    with running_command(command, ROOT, with_settings(environment), ready) as pid:
        yield pid


@contextmanager
def running_command(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], ready: Callable[[], bool]
) -> Iterator[int]:
    """Run a command in a folder. Yields its pid. Raises `RuntimeError` if it is not ready in time."""
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{' '.join(command)} did not start (exit status {process.poll()})")
            time.sleep(POLL_SECONDS)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def with_settings(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process without the settings of Daybook, and with these variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)}
    return {**inherited, **more}


def ask(module: str, given: Mapping[str, Any]) -> Any:
    """Run `python -m module` with JSON as input, and return its JSON. Raises `subprocess.CalledProcessError`."""
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, input=orjson.dumps(given), stdout=subprocess.PIPE, cwd=ROOT, check=True)
    return orjson.loads(done.stdout)


def answers(url: str) -> bool:
    """Whether a GET is answered with a success."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a local address
            return True
    except (urllib.error.URLError, OSError):
        return False
