"""Routes of accounts and transactions."""
