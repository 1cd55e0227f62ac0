"""The texts of a WSGI request and its response: the id on their headers, and what is readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.core.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import WSGIEnvironment

    from pantheon_obs.core.settings import Settings

_ALLOW_ORIGIN = "access-control-allow-origin"
_EXPOSE = "access-control-expose-headers"


class RequestHeaders:
    """Reads the id of a request, or makes one.

    Args:
        settings: Which headers to read, whether to trust them, and what makes a fresh id.
    """

    __slots__ = ("_of", "_sources")

    def __init__(self, settings: Settings) -> None:
        self._of = Identity(settings).of
        self._sources = [
            (f"HTTP_{name.upper().replace('-', '_')}", name.lower().encode("ascii"))
            for name in (*settings.inbound_headers, "sentry-trace")
        ]

    def id_of(self, environ: WSGIEnvironment) -> str:
        """The id of the request with this environ."""
        found = []
        try:
            for key, name in self._sources:
                if key in environ:
                    # Servers join a header that was sent twice with a comma, which no id has.
                    value = environ[key]
                    if "," in value:
                        value = value.partition(",")[0].rstrip(" \t")
                    found.append((name, value.encode("latin-1", "replace")))
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("wsgi request headers", error)
        return self._of(found)


class ResponseHeaders:
    """Puts the id on what an app starts its response with.

    Args:
        names: The headers that carry the id.
    """

    __slots__ = ("_lower", "_names", "_special")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._lower = tuple(name.lower() for name in self._names)
        self._special = frozenset((*self._lower, _ALLOW_ORIGIN))

    def on(self, given: Iterable[Any], trace_id: str) -> list[Any]:
        """A copy of the headers with the id on it.

        Args:
            given: The app's headers; those under the id's names are replaced.
            trace_id: The id.
        """
        headers: list[Any] = list(given)
        try:
            special = self._special
            for name, _ in headers:
                if name.lower() in special:
                    headers = self._without_id(headers)
                    break
            for name in self._names:
                headers.append((name, trace_id))
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            # Headers that are none: what the server makes of them is the app's affair.
            report("wsgi response headers", error)
        return headers

    def _without_id(self, given: list[Any]) -> list[Any]:
        """The headers without those that carry the id, which scripts of other origins may read."""
        headers = [header for header in given if header[0].lower() not in self._lower]
        if any(header[0].lower() == _ALLOW_ORIGIN for header in headers):
            self._expose(headers)
        return headers

    def _expose(self, headers: list[Any]) -> None:
        # https://fetch.spec.whatwg.org/#http-access-control-expose-headers
        exposed = [(i, h[1]) for i, h in enumerate(headers) if h[0].lower() == _EXPOSE]
        known = {part.strip().lower() for _, value in exposed for part in value.split(",")}
        # Appended to a wildcard too: it does not count for requests with credentials.
        added = ", ".join(name for name in self._lower if name not in known)
        if added and exposed:
            index, value = exposed[0]
            headers[index] = (headers[index][0], f"{value}, {added}" if value.strip() else added)
        elif added:
            headers.append(("Access-Control-Expose-Headers", added))


def decoded(text: str) -> str:
    """Text of an environ, which is bytes in disguise, as ASGI has it.

    https://peps.python.org/pep-3333/#unicode-issues
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:  # not from a server
        return text
