"""Reconciliations as they are now: sessions, the lines of statements, matches, and what the rules propose."""
