"""Errors sent to Sentry, private by default, each with its trace id."""
