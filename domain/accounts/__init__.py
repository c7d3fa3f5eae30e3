"""Accounts and transactions: who has what, and the double entry that moves it."""
