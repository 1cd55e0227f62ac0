"""Metrics for Prometheus: a sink of the same facts as the log lines, and the page that shows it."""
