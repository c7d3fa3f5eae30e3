"""Routes of the service itself: log, streams, commands, health, documentation."""
