"""People: who acts, and what they may."""
