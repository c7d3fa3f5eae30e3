"""The `daybook` command, a module for each group of commands."""

import gc

gc.disable()  # imported modules are no garbage; the collector spent a third of the start looking through them
from workers.cli.main import app, main  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["app", "main"]
