"""Runs process managers: records what they intend, sends it, and records the answers."""
