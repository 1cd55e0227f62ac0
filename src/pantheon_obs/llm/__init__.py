"""LLM calls as events: timed, counted, and reported exactly once on every way of ending."""
