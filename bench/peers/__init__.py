"""Other ledgers to compare with Daybook. Each is in one file, written in the usual way for its libraries."""
