"""Log lines: entry, dict, bytes, write."""
