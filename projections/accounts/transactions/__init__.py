"""Transactions: one row each, complete with its entries. Rows are never changed."""
