"""Wrappers that observe functions and what they return until the call ends."""
