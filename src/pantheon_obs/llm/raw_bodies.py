"""The body of an SDK's raw response, where it is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pantheon_obs.llm.usage import Seen, read

if TYPE_CHECKING:
    from pantheon_obs.llm.parts import HostValue


def read_body(http_response: HostValue, seen: Seen) -> bool:
    """Take in the body as the SDK would after parsing it.

    Args:
        http_response: A response of httpx's kind.
        seen: Where to put what it says.

    Returns:
        Whether the body is there; it need not be one that says something.
    """
    try:
        body = http_response.content
    except Exception:  # noqa: BLE001 - httpx's and httpx2's own "not read yet"
        return False
    try:
        read(orjson.loads(body), seen)
    except orjson.JSONDecodeError:
        return True  # server-sent events, for example
    return True
