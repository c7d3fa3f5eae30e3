"""What stands beside the log about webhooks: how far each is, its attempts, and how its messages are signed."""
