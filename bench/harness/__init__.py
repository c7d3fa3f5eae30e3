"""Servers, load, percentiles, the description of the machine, and the check after each scenario."""
