"""Server-sent events, as all the vendors send them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Wire:
    """A streamed answer.

    Attributes:
        frames: The events, as they go over the wire.
        middle: The number of events before the middle, which is after the first content.
        error: The event that reports an error.
    """

    frames: list[bytes]
    middle: int
    error: bytes


def data(body: dict[str, Any]) -> bytes:
    """Make an event without a name."""
    return b"data: %s\n\n" % json.dumps(body).encode()


def named(body: dict[str, Any]) -> bytes:
    """Make an event that is named after its type."""
    return b"event: %s\n%s" % (body["type"].encode(), data(body))
