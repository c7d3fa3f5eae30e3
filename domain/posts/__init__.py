"""Posts: drafted, revised, published under a claimed slug, archived, deleted and restored."""
