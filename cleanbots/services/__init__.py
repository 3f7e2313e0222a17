"""What a bot is lent: cache, state, tables, HTTP, the archive."""
