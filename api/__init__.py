"""Turns HTTP requests into commands and queries. No business decision is made here."""
