"""Webhooks: who is sent which events, when that ends, and who gets a mail."""
