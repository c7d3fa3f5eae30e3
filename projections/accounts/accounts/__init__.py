"""Accounts as they are now: profile, balance, what is reserved, status, stream version."""
