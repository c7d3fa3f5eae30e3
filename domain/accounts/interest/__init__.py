"""Interest on accounts: it accrues on the balance of each day, exactly, and is credited once a month.

`terms` has the aggregate of an account, `accrual` the arithmetic, `crediting` the month's command, and `running` the
process that sends it once a month is over.
"""
