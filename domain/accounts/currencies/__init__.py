"""Currencies: exchange rates, quotes that lock a price for a while, and conversions of money."""
