"""Read models of accounts and transactions."""
