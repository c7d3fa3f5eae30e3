"""Statements that somebody else made, as files: what is read of them, and what is wrong with them."""
