"""The shapes of responses, chunks and usage objects: one module per vendor."""
