"""The id on a response's headers: replaced, never doubled, and readable across origins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.core.asgi_types import Message

_ALLOW_ORIGIN = b"access-control-allow-origin"
_EXPOSE = b"access-control-expose-headers"


class ResponseHeaders:
    """Puts the id on the message that starts a response.

    Args:
        names: The headers that carry the id.
    """

    __slots__ = ("_names", "_special")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(name.lower().encode("ascii") for name in names)
        self._special = frozenset((*self._names, _ALLOW_ORIGIN))

    def on(self, message: Message, trace_id: str) -> Message:
        """A copy of the message with the id on it.

        Args:
            message: `http.response.start`, `websocket.accept` or a websocket's denial response.
            trace_id: The id.

        Returns:
            The message to send; headers that the app set under the id's names are replaced.
        """
        headers: list[Any] = list(message.get("headers") or ())
        try:
            special = self._special
            for name, _ in headers:
                if name.lower() in special:
                    headers = self._without_id(headers)
                    break
            value = trace_id.encode("ascii")
            for name in self._names:
                headers.append((name, value))
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            # Headers that are none: what the server makes of them is the app's affair.
            report("asgi response headers", error)
        return {**message, "headers": headers}

    def _without_id(self, given: list[Any]) -> list[Any]:
        """The headers without those that carry the id, which scripts of other origins may read."""
        headers = [header for header in given if header[0].lower() not in self._names]
        if any(header[0].lower() == _ALLOW_ORIGIN for header in headers):
            self._expose(headers)
        return headers

    def _expose(self, headers: list[Any]) -> None:
        # https://fetch.spec.whatwg.org/#http-access-control-expose-headers
        exposed = [(i, h[1]) for i, h in enumerate(headers) if h[0].lower() == _EXPOSE]
        known = {part.strip().lower() for _, value in exposed for part in value.split(b",")}
        # Appended to a wildcard too: it does not count for requests with credentials.
        added = b", ".join(name for name in self._names if name not in known)
        if added and exposed:
            index, value = exposed[0]
            headers[index] = (headers[index][0], value + b", " + added if value.strip() else added)
        elif added:
            headers.append((_EXPOSE, added))
