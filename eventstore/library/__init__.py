"""The log as a persistence module of the `eventsourcing` library: ``PERSISTENCE_MODULE=eventstore``.

Each application is a log of its own, its topics and states kept verbatim. Nothing else of `eventstore` depends on this
package. How to use it: docs/howto/use-the-library.md; why it is so: docs/adr/0008.
"""
