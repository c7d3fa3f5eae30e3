"""Accounts, and the transactions that move money between them by double entry."""
