"""Routes of posts."""
