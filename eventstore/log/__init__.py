"""The log in PostgreSQL: append, read, encode events, keep snapshots. One module an operation."""
