"""What every request meets: limits, authentication, problems, the access log."""
