"""Token usage: where it is found, and how each vendor reports it."""
