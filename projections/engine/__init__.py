"""Folds the log into read tables: pages, checkpoints, rebuilds, waiting, verification."""
