"""Entries: one row a posting to an account, with the balance booked after it. Rows are never changed."""
