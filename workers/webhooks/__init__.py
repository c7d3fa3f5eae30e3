"""Sends events to webhooks: finds what is wanted, signs it, sends it to a checked address, records the attempt."""
