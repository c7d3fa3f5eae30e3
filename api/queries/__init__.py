"""Queries over HTTP: pages, cursors, waiting for a position."""
