"""The shapes of responses, chunks and usage objects: a module per vendor, one for any vendor."""
