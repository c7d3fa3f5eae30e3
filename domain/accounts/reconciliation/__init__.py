"""Reconciliation: the entries of an account beside the lines of a statement that somebody else made of it.

Read `events` and `statement` first, then the rules in `matching`, the aggregates `session`, `part` and `match`, and the
`process` that matches by the rules.
"""
