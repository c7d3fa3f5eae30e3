"""The domain: money, aggregates, events and decisions.

The domain is pure. It reads no clock, no file, no socket and no table. A decision is a function of a command, the
states of the streams it names, and a context that carries the time. So a test of a rule takes microseconds, and a
decision that is made again has the same result.
"""
