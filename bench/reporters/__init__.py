"""Writes a result as JSON, as a page, and on the terminal."""
