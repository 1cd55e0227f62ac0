"""Log lines: one event, one line."""
