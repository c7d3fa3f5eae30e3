"""Read models of people: persons as they are now, and the requests that another person approves."""
