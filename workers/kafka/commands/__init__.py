"""Commands that arrive by topic: `daybook execute-from-kafka`. A topic is a principal, and gets what HTTP answers."""
