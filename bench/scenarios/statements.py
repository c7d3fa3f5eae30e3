"""Measures balances and statements of an account with a million entries.

The account takes part in every transfer of a year. Value dates are the day of booking, or up to three days before it; a
few are of an old day. The tables are folded by the projector from events that the domain decided.
"""
