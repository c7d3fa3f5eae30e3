"""The `daybook` command, a module for each group of commands."""

from workers.cli.main import app, main

__all__ = ["app", "main"]
