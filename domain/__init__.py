"""What is true: money, aggregates, events and decisions.

Pure. Nothing in here reads a clock, a file, a socket or a table: a decision is a function of the command, the
states it names and a context that carries the time, so every rule is tested in microseconds and every decision
can be made again with the same result.
"""
