"""Redaction: secrets are removed from log lines and Sentry events, by one list."""
