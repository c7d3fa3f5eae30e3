"""Processes: work that takes time. Their managers are in the areas that they belong to."""
