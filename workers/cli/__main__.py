"""`python -m workers.cli`: the `daybook` command where it is not installed."""

from workers.cli.main import main

main()
