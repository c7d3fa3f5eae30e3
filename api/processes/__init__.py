"""Routes of processes."""
