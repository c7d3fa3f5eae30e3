"""Executes commands in groups: decide, append once, answer each."""
