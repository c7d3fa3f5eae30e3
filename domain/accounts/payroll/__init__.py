"""Payroll: the wages of a company's employees for a month.

Read `events` and `paying` first, then the aggregate `run` with its `state`, the aggregate `part`, and the `process`
that carries a large run out.
"""
