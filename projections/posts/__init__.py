"""Read models of posts."""
