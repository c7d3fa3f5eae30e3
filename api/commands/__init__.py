"""Commands over HTTP: declare, route, execute, batch."""
