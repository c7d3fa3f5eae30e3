"""The door: HTTP in, commands and queries out, nothing decided here."""
