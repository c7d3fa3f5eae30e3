"""Makes a revision runnable: its files in a folder, an interpreter with its dependencies, its `daybook` command."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness import process
from workers.ports import free_port

LOCK = "requirements.lock"
_START = "import sys; from {module} import {function}; sys.argv[0] = 'daybook'; sys.exit({function}())"
_WHERE = "import {package}; print({package}.__file__)"
INSTALL_SECONDS = 900
COMMAND_SECONDS = 900


class CompareError(RuntimeError):
    """The comparison failed. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Program:
    """The `daybook` command of the files in `folder`."""

    name: str
    folder: Path
    python: str
    module: str
    function: str

    def run(self, *arguments: str, environment: Mapping[str, str]) -> bytes:
        """Run `daybook ARGUMENTS` and return its output. Raises `CompareError` if it fails."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(environment),
            capture_output=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip()[-2000:]
            raise CompareError(f"daybook {' '.join(arguments)} of {self.name} ended with {done.returncode}: {why}")
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """The command line of `daybook ARGUMENTS`."""
        return [self.python, "-c", _START.format(module=self.module, function=self.function), *arguments]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process of this revision. Its code is found before installed code."""
        return process.with_settings({**more, "PYTHONPATH": str(self.folder)})


def program_in(name: str, folder: Path, python: str = sys.executable) -> Program:
    """The program of the files in `folder`. Raises `CompareError` if its code would come from another folder."""
    described = tomllib.loads((folder / "pyproject.toml").read_text())
    module, _, function = described["project"]["scripts"]["daybook"].partition(":")
    program = Program(name, folder.resolve(), python, module, function)
    package = module.partition(".")[0]
    found = subprocess.run(
        [python, "-c", _WHERE.format(package=package)],
        cwd=program.folder,
        env=program.environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    if not found.stdout.startswith(f"{program.folder}{os.sep}"):
        raise CompareError(f"{package} of {name} was found in {found.stdout.strip() or 'no folder'}, not in {folder}")
    return program


def checked_out(repository: Path, revision: str, folder: Path, say: Callable[[str], None]) -> Program:
    """Extract a revision below `folder`. It gets a separate Python environment if it needs other versions."""
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise CompareError(f"{revision} is not a revision of {repository}; `git log` lists the revisions")
    name = commit.decode().strip()[:12]
    files = folder / name
    archive = _git(repository, "archive", "--format=tar", name)
    assert archive is not None, name
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(files, filter="data")
    return program_in(name, files, _python_for(files, repository, folder, say))


def differences(theirs: str, ours: str) -> list[str]:
    """The pins of `theirs` that are not in `ours`. Pins that only `ours` has do no harm."""
    return sorted(set(_pins(theirs)) - set(_pins(ours)))


def _pins(lock: str) -> Iterator[str]:
    for line in lock.splitlines():
        pin = line.partition("#")[0].partition(" ")[0].strip().lower().replace("_", "-")
        if "==" in pin and not pin.startswith("-"):
            yield pin


def _python_for(files: Path, repository: Path, folder: Path, say: Callable[[str], None]) -> str:
    """The current interpreter if it has the versions that the revision needs, else that of a new environment."""
    other = differences((files / LOCK).read_text(), (repository / LOCK).read_text())
    if not other:
        return sys.executable
    say(f"{files.name} asks for other versions ({', '.join(other[:3])}, …): installing them for it")
    environment = folder / "environment"
    python = str(environment / "bin" / "python")
    _do([sys.executable, "-m", "venv", str(environment)])
    _do([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(files / LOCK)])
    return python


def _do(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise CompareError(
            f"the versions that the revision asks for could not be installed: {done.stderr.strip()[-1000:]}"
        )


def _git(repository: Path, *arguments: str) -> bytes | None:
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=False)  # noqa: S607
    return done.stdout if done.returncode == 0 else None


@contextmanager
def serving(program: Program, environment: Mapping[str, str]) -> Iterator[int]:
    """Run `daybook serve` of this revision. Yields its port."""
    port = free_port()
    with process.running_command(
        program.command("serve"),
        program.folder,
        program.environment({**environment, "DAYBOOK_PORT": str(port)}),
        ready=lambda: process.answers(f"http://127.0.0.1:{port}/v1/health/live"),
    ):
        yield port
