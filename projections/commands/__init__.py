"""Read models about commands themselves."""
