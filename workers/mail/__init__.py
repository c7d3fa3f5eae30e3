"""Sends the mails that wait: reads the address, makes the token, renders, sends, and records what became of it."""
