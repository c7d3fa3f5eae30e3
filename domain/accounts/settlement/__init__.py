"""Merchant settlement: what a merchant account was paid on a UTC day is paid out, less refunds and a fee.

`agreement` has the terms of an account and how far it is settled, `settlement` one account and day. `running` is the
process that calculates the days of an agreement in their order, `payout` the one that pays what is due.
"""
