"""The `daybook` command, a module for each group of commands."""

import gc

gc.disable()  # what imports make stays: to look at it again and again for garbage takes a fifth of the start
from workers.cli.main import app, main  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["app", "main"]
