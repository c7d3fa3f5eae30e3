"""Carries out long batches in the background: `daybook batches`."""
