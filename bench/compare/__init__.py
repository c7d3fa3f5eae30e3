"""`python -m bench compare REVISION` measures whether this tree is slower than another revision.

It uses only interfaces that all revisions have: the `daybook` command of their `pyproject.toml`, `DATABASE_URL`, and
the HTTP API. It imports nothing of the measured code.
"""
