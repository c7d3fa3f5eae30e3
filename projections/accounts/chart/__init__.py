"""The chart of accounts: its nodes, the accounts that are attached to them, and balances that are rolled up."""
