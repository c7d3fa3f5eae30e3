"""The log on Apache Kafka: publishing it, copying it to replicas, and commands that arrive by topic."""
