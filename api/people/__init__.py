"""The routes of people: registration, signing in, second factor, API keys, profiles, roles, what two persons decide."""
