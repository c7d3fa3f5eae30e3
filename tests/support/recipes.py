"""Follow a recipe of CONTRIBUTING.md in a copy of the repository.

A block of the page with a file's path as its title is one step. ```` ```python title="path" ```` is a new file;
```` ```diff title="path" ```` changes a file, in parts that `@@` separates. A block of `sh` has the commands to run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code of a page. `path` is None for one without a title."""

    language: str
    path: str | None
    text: str

    @property
    def added(self) -> int:
        """The number of lines that it writes."""
        lines = self.text.splitlines()
        return sum(line.startswith("+") for line in lines) if self.language == "diff" else len(lines)


@dataclass(frozen=True)
class Recipe:
    """The steps of one section of the page, and the commands that check them."""

    changes: tuple[Block, ...]
    commands: str

    @property
    def files(self) -> int:
        """The number of files that it writes or changes."""
        return len({change.path for change in self.changes})

    @property
    def lines(self) -> int:
        """The number of lines that it writes."""
        return sum(change.added for change in self.changes)


def recipe(page: str, heading: str) -> Recipe:
    """The recipe below a heading of the second level."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = [Block(language, path or None, text) for language, path, text in _BLOCK.findall(section)]
    changes = tuple(block for block in blocks if block.path is not None)
    return Recipe(changes, "".join(block.text for block in blocks if block.language == "sh"))


def follow(changes: Iterable[Block], copy: Path) -> None:
    """Write and change the files of the recipe."""
    for change in changes:
        assert change.path is not None
        file = copy / change.path
        if change.language == "diff":
            file.write_text(changed(file.read_text(encoding="utf-8"), change.text), encoding="utf-8")
        else:
            assert not file.exists(), f"{change.path} exists already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(change.text, encoding="utf-8")


def changed(source: str, difference: str) -> str:
    """The source with each part of the difference applied. The lines before a change must be there exactly once."""
    for part in re.split(r"^@@.*\n", difference, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        before = "".join(line[1:] or line for line in lines if not line.startswith("+"))
        after = "".join(line[1:] or line for line in lines if not line.startswith("-"))
        if source.count(before) != 1:
            raise ValueError(f"these lines are there {source.count(before)} times, not once:\n{before}")
        source = source.replace(before, after)
    return source


def copy_repository(root: Path, copy: Path, environment: Path) -> None:
    """Copy the files that git knows, and give the copy the environment of tools in `.venv`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in listed:
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    tools = copy / ".venv"
    tools.mkdir()
    for part in environment.iterdir():
        (tools / part.name).symlink_to(part)
    (tools / ".installed").unlink(missing_ok=True)
    (tools / ".installed").touch()  # newer than the lock file of the copy, so that make installs nothing
