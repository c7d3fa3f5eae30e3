"""Runs the `daybook` command in a separate process without importing the program, which takes some seconds.

A fork server imports the program once for each pytest process. Each command is a fork of it, with separate
environment, folder, output and exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

PROGRAM = ("workers.cli.main", "workers.serve")
SETTINGS = ("DATABASE_URL", "DAYBOOK_")
"""Prefixes of the variables that the program reads only when it runs. Other variables may affect its import."""


def can_fork(env: Mapping[str, str], usual: Mapping[str, str]) -> bool:
    """Whether a command with this environment can be a fork of a server that was started with the usual one."""
    different = {name for name in env.keys() | usual.keys() if env.get(name) != usual.get(name)}
    return all(name.startswith(SETTINGS) for name in different)


def run_forked(
    arguments: tuple[str, ...], env: Mapping[str, str], usual: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, as `subprocess.run` would."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "stdout"), Path(folder, "stderr")
        process = _server(tuple(usual.items())).Process(
            target=_run, args=(arguments, dict(env), os.getcwd(), *map(str, files), False)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        code, (stdout, stderr) = process.exitcode, (file.read_text() for file in files)
        process.close()
    return subprocess.CompletedProcess(arguments, code, stdout, stderr)


class Forked:
    """A command that runs on. It has what tests use of `subprocess.Popen`."""

    def __init__(self, arguments: tuple[str, ...], env: Mapping[str, str], usual: Mapping[str, str], log: Path) -> None:
        """Start the command in a new session; its output is appended to the file `log`."""
        log.touch()
        args = (arguments, dict(env), os.getcwd(), str(log), str(log), True)
        self._process: BaseProcess = _server(tuple(usual.items())).Process(target=_run, args=args)
        self._process.start()
        assert self._process.pid is not None, "a started process has an id"
        self.pid: int = self._process.pid
        self._arguments = arguments

    def poll(self) -> int | None:
        """The exit code, and None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()


@cache
def _server(usual: tuple[tuple[str, str], ...]) -> multiprocessing.context.ForkServerContext:
    """The fork server, started with this environment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PROGRAM])
    before = dict(os.environ)
    os.environ.update(usual)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _run(
    arguments: tuple[str, ...], env: Mapping[str, str], folder: str, stdout: str, stderr: str, own_session: bool
) -> None:
    """Run the command in the fork."""
    from workers.cli.main import main

    if own_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for path, stream in ((stdout, sys.stdout), (stderr, sys.stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, stream.fileno())
        os.close(file)
    sys.argv = ["daybook", *arguments]
    main()
