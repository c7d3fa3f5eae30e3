"""Runs the `daybook` command in a separate process without importing the program, which takes most of a second.

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
from pathlib import Path

PROGRAM = "workers.cli.main"
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
            target=_run, args=(arguments, dict(env), os.getcwd(), *map(str, files))
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


@cache
def _server(usual: tuple[tuple[str, str], ...]) -> multiprocessing.context.ForkServerContext:
    """The fork server, started with this environment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PROGRAM])
    before = dict(os.environ)
    os.environ.update(usual)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _run(arguments: tuple[str, ...], env: Mapping[str, str], folder: str, stdout: str, stderr: str) -> None:
    """Run the command in the fork."""
    from workers.cli.main import main

    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for path, stream in ((stdout, sys.stdout), (stderr, sys.stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream.fileno())
        os.close(file)
    sys.argv = ["daybook", *arguments]
    main()
