"""Replay for people: walks the log event by event, with states and what changed, and shows causes and refusals."""
