"""Orders as they are now, with their lines."""
