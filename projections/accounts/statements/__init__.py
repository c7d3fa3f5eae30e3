"""Balances and statements of an account at any time, read from entries, movements and transactions."""
