"""The libraries that the benchmark compares with, and the features that each of them lacks."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

LACKS = {
    "asgi-correlation-id": "no log line; reads one header, adds to the response's headers",
    "python-json-logger": "redacts nothing, limits no line; the access log around it is by hand",
    "prometheus-client": "the metric and its labels are by hand; no exemplar, no gauge",
    "structlog": "redacts nothing, limits no line, knows no request",
    "django-guid": "the id only: its log lines are off; no outcome, no metrics",
    "uvicorn": "its access log has no trace id, no duration and no outcome, and is no JSON",
    "opentelemetry-sdk": "an empty span: no tokens, no cost, no finish reason, sent nowhere",
    "logfire": "a span without arguments: no tokens, no cost, no finish reason, sent nowhere",
    "openinference-instrumentation": "a span without inputs and outputs: no tokens, sent nowhere",
    "langfuse": "an observation without input and output: no tokens, sent nowhere",
}
"""By the package. The code by hand has neither settings nor a guard, and redacts nothing."""


def versions() -> dict[str, str]:
    """Return the version of each package that is installed."""
    found = {}
    for package in LACKS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
