"""Observe the value that a call returns, until the call ends."""
