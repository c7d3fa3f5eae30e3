"""Exporters of the books for other tools."""
