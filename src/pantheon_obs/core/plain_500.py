"""The response that we send for an application that does not answer."""

from __future__ import annotations

PLAIN_500 = b"Internal Server Error"
"""Its body."""

PLAIN_500_HEADERS = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(PLAIN_500))),
)
