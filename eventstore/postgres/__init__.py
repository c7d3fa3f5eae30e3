"""Connections to PostgreSQL, and arrays as it reads them."""
