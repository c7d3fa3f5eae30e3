"""Movements: what was debited and credited to each account on each value date; daily balances follow from it."""
