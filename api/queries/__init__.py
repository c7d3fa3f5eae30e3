"""Queries over HTTP: their declaration, pages, cursors, and waiting for a position."""
