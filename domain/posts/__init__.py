"""Posts: texts that are published under an address of their own."""
