"""Read models of processes."""
