"""The PKDD'99 data of a Czech bank as ledger history: read, imported, and held against the bank's own balances."""
