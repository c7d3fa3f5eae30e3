"""Importers of data from elsewhere."""
