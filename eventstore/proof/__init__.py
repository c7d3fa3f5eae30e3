"""The transparency log: a Merkle tree over the leaves of the log, its tiles, signed checkpoints and proofs (ADR 68)."""
