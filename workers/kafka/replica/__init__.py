"""What reads the published log: a replica that copies it, and workers that fold its partitions."""
