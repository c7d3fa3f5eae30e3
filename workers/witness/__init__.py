"""A witness of the transparency logs of others: it cosigns checkpoints that continue what it has seen."""
