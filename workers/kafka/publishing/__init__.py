"""Publishes the log to Kafka: what is sent, the transactions that send it, and the process."""
