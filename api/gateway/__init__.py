"""The parts that every request passes through: limits, authentication, problems, the access log."""
