"""The facts in the environ of a WSGI request: its id, its headers and its texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.guard import report
from pantheon_obs.core.identity import Identity

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from pantheon_obs.core.settings import Settings


class EnvironIdentity:
    """Reads the trace id of a request from its environ, or makes one, as the settings say."""

    __slots__ = ("_of", "_sources")

    def __init__(self, settings: Settings) -> None:
        self._of = Identity(settings).of
        self._sources = [
            (f"HTTP_{name.upper().replace('-', '_')}", name.lower().encode("ascii"))
            for name in (*settings.inbound_headers, "sentry-trace")
        ]

    def of(self, environ: WSGIEnvironment) -> str:
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


def decoded(text: str) -> str:
    """Decode a text of an environ, whose characters stand for bytes, as ASGI servers do.

    https://peps.python.org/pep-3333/#unicode-issues
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:  # not from a server
        return text


def path_of(environ: WSGIEnvironment) -> str:
    """The path that the client has asked for."""
    return decoded(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))


def headers_of(environ: WSGIEnvironment) -> dict[str, str]:
    """The request's headers, by their names in an environ."""
    beginnings = ("HTTP_", "CONTENT_")
    return {name: value for name, value in environ.items() if name.startswith(beginnings)}
