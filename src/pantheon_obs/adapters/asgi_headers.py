"""Read the headers of an ASGI request, and put the id on its response's headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message, Scope
    from pantheon_obs.core.response_headers import ResponseHeaders

_CONTENT = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})

_guard = Guard("asgi headers")


def headers_in_scope(scope: Scope) -> dict[str, str]:
    """The request's headers, by their names in an environ."""
    headers = {}
    for name, value in scope.get("headers") or ():
        text = name.decode("latin-1").upper().replace("-", "_")
        headers[text if text in _CONTENT else f"HTTP_{text}"] = value.decode("latin-1")
    return headers


def read_once(scope: Scope, headers: Any) -> Any:  # noqa: ANN401 - whatever the server has put there
    """Put a list in place of headers that can be read only once, and return the headers."""
    with _guard:
        if iter(headers) is headers:
            scope["headers"] = headers = list(headers)
    return headers


def with_id(message: Message, ours: ResponseHeaders[bytes], trace_id: str) -> Message:
    """Copy the message with which a response begins, with the id on its headers."""
    return {**message, "headers": ours.on(message.get("headers") or (), trace_id.encode())}
