"""The id on a response's headers: replaced, never doubled, and readable across origins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from pantheon_obs.adapters.asgi import Message

_ALLOW_ORIGIN = b"access-control-allow-origin"
_EXPOSE = b"access-control-expose-headers"


def with_trace_headers(message: Message, names: tuple[bytes, ...], trace_id: str) -> Message:
    """A copy of a message that starts a response, with the id on it.

    Args:
        message: `http.response.start`, `websocket.accept` or a websocket's denial response.
        names: Names of the headers that carry the id, in lower case.
        trace_id: The id.

    Returns:
        The message to send; headers that the app set under these names are replaced.
    """
    headers = list(message.get("headers") or ())
    try:
        special = cross_origin = False
        for header in headers:
            name = header[0].lower()
            if name in names:
                special = True
            elif name == _ALLOW_ORIGIN:
                cross_origin = True
        if special:
            headers = [header for header in headers if header[0].lower() not in names]
        value = trace_id.encode("ascii")
        for name in names:
            headers.append((name, value))  # noqa: PERF401 - once, nearly always
        if cross_origin:
            _expose(headers, names)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
        report("asgi response headers", error)
    return {**message, "headers": headers}


def _expose(headers: list[Any], names: tuple[bytes, ...]) -> None:
    """Let scripts of other origins read the id (https://fetch.spec.whatwg.org/#http-new-header-syntax)."""
    exposed = [(i, h[1]) for i, h in enumerate(headers) if h[0].lower() == _EXPOSE]
    known = {part.strip().lower() for _, value in exposed for part in value.split(b",")}
    # Appended to a wildcard too: it does not count for requests with credentials.
    added = b", ".join(name for name in names if name not in known)
    if added and exposed:
        index, value = exposed[0]
        headers[index] = (headers[index][0], value + b", " + added if value.strip() else added)
    elif added:
        headers.append((_EXPOSE, added))
