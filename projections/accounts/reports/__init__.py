"""Reports of the ledger at a position of the log. Each is a query: nothing is folded for them."""
