"""Figures for Prometheus: what is declared, where each figure comes from, and the port that shows them."""
