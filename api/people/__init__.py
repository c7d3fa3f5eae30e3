"""Routes of people: what two persons decide."""
