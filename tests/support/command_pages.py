"""Runs the shell blocks of a page, with the `daybook` command as the caller carries it out.

The shell asks for each command through a pipe, so that a command can be a fork: to start the program anew for each one
would take most of the time of a test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

_DAYBOOK = """
daybook() {
    printf '%s\\0' "$@" >"$PAGES/requests"
    read -r code <"$PAGES/answers"
    cat "$PAGES/stdout"; cat "$PAGES/stderr" >&2
    return "$code"
}
"""


def run_page(
    page: Path, folder: Path, command: Callable[[list[str]], subprocess.CompletedProcess[str]], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run the shell blocks of a page in a folder, in order. `command` runs `daybook` with these arguments."""
    script = _DAYBOOK + "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    pipes = folder / ".pages"
    pipes.mkdir()
    requests, answers = pipes / "requests", pipes / "answers"
    for pipe in (requests, answers):
        os.mkfifo(pipe)

    def serve() -> None:
        while arguments := requests.read_bytes().split(b"\0")[:-1]:
            done = command([argument.decode() for argument in arguments])
            (pipes / "stdout").write_text(done.stdout)
            (pipes / "stderr").write_text(done.stderr)
            answers.write_text(f"{done.returncode}\n")

    server = Thread(target=serve, daemon=True)
    server.start()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    try:
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**os.environ, "PAGES": str(pipes), "PATH": path},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    finally:
        requests.write_bytes(b"")  # the end of requests
        server.join(timeout)
