"""The log in PostgreSQL: append, read, encode events, find answers, hash leaves. One module an operation."""
