"""What happened: the log in PostgreSQL. Append, read, follow, execute commands in groups, seal personal data.

Generic over the events it keeps: it imports nothing of the domain and is given a codec and a decider.
"""
