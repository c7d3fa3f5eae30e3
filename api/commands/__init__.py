"""Commands over HTTP: their declaration, routing, execution and batches."""
