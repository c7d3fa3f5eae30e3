"""What readers on Kafka can rely on: JSON Schema of each event version and record, and AsyncAPI (ADR 0033)."""
