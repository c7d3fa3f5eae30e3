"""The PKDD'99 data of a Czech bank as ledger history: read, imported, and compared with the bank's balances."""
