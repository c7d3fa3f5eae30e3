"""Keys that seal personal values: the master key, a key for each person, rotation."""
