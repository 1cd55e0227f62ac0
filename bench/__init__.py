"""Measure the cost of the library side by side with its peers: run `python -m bench`."""
