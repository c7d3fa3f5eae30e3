"""Periods: which days are closed, the figures they were sealed with, and who reopened one and why."""
