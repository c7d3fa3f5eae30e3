"""Statements as files: CSV, PDF and camt.053. Each is a function of the head, its position and the lines."""
