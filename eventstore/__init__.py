"""What happened: the log in PostgreSQL. Append, read, follow, execute commands in groups, seal personal data.

Generic over the events it keeps: it imports nothing of the domain and is given a codec and a decider.

It is also a persistence module of the `eventsourcing` library (``PERSISTENCE_MODULE=eventstore``), which looks for the
one factory class among this module's names.
"""

from eventstore.library.factory import EventStoreFactory

__all__ = ["EventStoreFactory"]
