"""The process that seals the log: it grows the tree of the transparency log and signs its heads."""
