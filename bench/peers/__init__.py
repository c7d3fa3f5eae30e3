"""Ledgers that others would write, to be measured beside Daybook: each as its users would write it, in one file."""
