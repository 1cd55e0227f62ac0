"""Wrappers that observe functions and their results until the call ends."""
