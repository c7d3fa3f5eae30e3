"""Posts as they are now, and every revision of their texts. Deleted ones stay, with their reason."""
