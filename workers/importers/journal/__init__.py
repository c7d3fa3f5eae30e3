"""Books of hledger, ledger or a CSV file as ledger history: read, checked, rehearsed, imported, and compared."""
