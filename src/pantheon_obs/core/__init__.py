"""Describe a request: its identity, its context and its facts. Standard library only."""
