"""`python -m bench compare REVISION`: whether this tree is slower than another revision.

Both revisions are driven from outside, through what stays the same over revisions: the `daybook` command of their
`pyproject.toml`, `DATABASE_URL`, and the HTTP API. Nothing of the measured code is imported.
"""
