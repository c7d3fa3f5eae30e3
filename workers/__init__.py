"""The long-running processes of Daybook, and the `daybook` command that starts them."""
