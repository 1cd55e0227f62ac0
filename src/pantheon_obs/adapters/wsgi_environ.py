"""The facts in the environ of a WSGI request: its id, its texts, and a body that its client cut."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pantheon_obs.core.chains import chain_of
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.identity import PASSED_ON, Identity
from pantheon_obs.core.spans import BAGGAGE, TRACESTATE
from pantheon_obs.core.texts import text_of
from pantheon_obs.core.trace_id import PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIEnvironment

    from pantheon_obs.adapters.routes_mounts import Mounts
    from pantheon_obs.core.exchange import Exchange
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.core.spans import Upstream

    RouteOf = Callable[[WSGIEnvironment], str | None]

_INPUT = "wsgi.input"
_is_id = re.compile(PATTERN).fullmatch
_LISTS = frozenset({TRACESTATE, BAGGAGE})

_guard = Guard("wsgi route")


class EnvironIdentity:
    """Reads the trace id of a request from its environ, or makes one, as the settings say."""

    __slots__ = ("_identity", "_ids", "_sources")

    def __init__(self, settings: Settings) -> None:
        self._identity = Identity(settings)
        inbound = [name.lower() for name in settings.inbound_headers]
        self._ids = tuple(map(_key_of, inbound)) if settings.trust_inbound else ()
        self._sources = {
            _key_of(name): (name.encode("ascii"), name in _LISTS)
            for name in {*inbound, "sentry-trace", *PASSED_ON}
        }

    def read(self, environ: WSGIEnvironment) -> tuple[str, Upstream | None]:
        """The id of the request with this environ, and the context that its caller passes on."""
        found = []
        try:
            # Most requests bring an id and nothing else: 3,000 instructions in place of 15,000.
            if not (
                "HTTP_TRACEPARENT" in environ
                or "HTTP_TRACESTATE" in environ
                or "HTTP_BAGGAGE" in environ
            ):
                for key in self._ids:
                    if key in environ:
                        value = environ[key]
                        if type(value) is str and _is_id(value):
                            return value, self._identity.plain
                        break
            for key in self._sources:
                if key in environ:
                    name, is_list = self._sources[key]
                    # Servers join a header that was sent twice with a comma, which no id has.
                    value = environ[key]
                    if "," in value and not is_list:
                        value = value.partition(",")[0].rstrip(" \t")
                    found.append((name, value.encode("latin-1", "replace")))
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("wsgi request headers", error)
        return self._identity.read(found)


def _key_of(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"


def decoded(text: str) -> str:
    """Decode a text of an environ, whose characters stand for bytes, as ASGI servers do.

    https://peps.python.org/pep-3333/#unicode-issues
    """
    try:
        if text.isascii():
            return text
        return text.encode("latin-1").decode("utf-8", "replace")
    except (AttributeError, UnicodeEncodeError):  # not from a server
        return text


def status_in(status: str) -> int | None:
    """The number in a status line; None without one."""
    try:
        return int(status[:3])
    except (LookupError, TypeError, ValueError):  # of a mapping it is a key, since Python 3.12
        return None


def path_of(environ: WSGIEnvironment) -> str:
    """The path that the client has asked for."""
    script, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    if not (type(script) is type(path) is str):
        script, path = text_of(script), text_of(path)
    return decoded(script + path)


def headers_in_environ(environ: WSGIEnvironment) -> dict[str, str]:
    """The request's headers, by their names in an environ."""
    beginnings = ("HTTP_", "CONTENT_")
    return {name: value for name, value in environ.items() if name.startswith(beginnings)}


def route_in(
    environ: WSGIEnvironment, script: str, route_of: RouteOf, mounts: Mounts
) -> str | None:
    """The route's template, after the way to its application, which `script` was mounted at."""
    with _guard:
        template = route_of(environ)
        if template is not None:
            return way_in(environ, script, mounts) + template
    return None


def way_in(environ: WSGIEnvironment, script: str, mounts: Mounts) -> str:
    """The template of the way through mounts from the application at `script` to another one."""
    way = environ.get("SCRIPT_NAME", "").removeprefix(script)
    return decoded(mounts.template_of(way)) if way else ""


def note_failed_read(exchange: Exchange, environ: WSGIEnvironment, error: BaseException) -> None:
    """Report to the exchange that the client has left, if an exception comes from reading the body.

    Servers raise any `OSError` for that, as a database's connection does too. So one counts only if
    it has passed through the object from which the application reads the body, or if the method of
    an object that wraps this one has raised it without an error number, which the system's have.
    """
    stream = environ.get(_INPUT)
    streams = (stream, getattr(stream, "raw", stream))  # a buffered one, in C, has no frames
    for cause in chain_of(error):
        if isinstance(cause, OSError) and _has_passed(cause, streams):
            exchange.send_failed(cause)
            exchange.client_left()
            return


def length_of(headers: Iterable[tuple[str, str]]) -> float:
    """The Content-Length in a response's headers; infinite without one."""
    with _guard:
        for name, value in headers:
            if name.lower() == "content-length":
                return int(value)
    return math.inf


def _has_passed(error: OSError, streams: tuple[object, ...]) -> bool:
    """Whether an error comes from a method of one of these objects, or of an object around one."""
    first: object = None
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        names = code.co_varnames[: code.co_argcount]
        first = traceback.tb_frame.f_locals.get(names[0]) if names else None
        if first is not None and any(first is stream for stream in streams):
            return True
        traceback = traceback.tb_next
    if error.errno is not None:
        return False
    attributes = getattr(first, "__dict__", {}).values()
    return any(each is stream for each in attributes for stream in streams)
