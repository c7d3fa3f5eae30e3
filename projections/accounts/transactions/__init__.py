"""Transactions: one row each, complete with its entries."""
