"""The trace id on a response's headers: replaced, never doubled, and readable across origins.

Also the headers and the body of the response for an application that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, AnyStr, Generic

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLAIN_500 = b"Internal Server Error"
PLAIN_500_HEADERS = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(PLAIN_500))),
)


class ResponseHeaders(Generic[AnyStr]):
    """Puts the trace id on pairs of names and values, which `convert` makes of texts.

    Example:
        >>> from pantheon_obs.core.response_headers import ResponseHeaders
        >>> ResponseHeaders(["X-Trace-ID"], str).on([("Server", "a")], "job-1")
        [('Server', 'a'), ('X-Trace-ID', 'job-1')]
    """

    __slots__ = (
        "_allow_origin",
        "_comma",
        "_expose",
        "_lower",
        "_names",
        "_separator",
        "_special",
        "_stored",
    )

    def __init__(self, names: Iterable[str], convert: Callable[[str], AnyStr]) -> None:
        self._names: tuple[AnyStr, ...] = tuple(map(convert, names))
        self._lower: tuple[AnyStr, ...] = tuple(name.lower() for name in self._names)
        self._stored: tuple[tuple[AnyStr, AnyStr], ...] = tuple(
            zip(self._lower, self._names, strict=True)
        )
        self._allow_origin: AnyStr = convert("access-control-allow-origin")
        self._expose: AnyStr = convert("access-control-expose-headers")
        self._comma: AnyStr = convert(",")
        self._separator: AnyStr = convert(", ")
        self._special: frozenset[AnyStr] = frozenset(self._lower) | {self._allow_origin}

    def on(self, given: Iterable[Any], trace_id: AnyStr) -> Any:  # noqa: ANN401 - see below
        """Copy the application's headers, with the id in place of those under its names."""
        headers: Any = given
        try:
            headers = list(given)
            special = self._special
            for name, _ in headers:
                if name.lower() in special:
                    headers = self._without_id(headers)
                    break
            for name in self._names:
                headers.append((name, trace_id))
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            # They are no pairs: the server decides about the very object.
            report("response headers", error)
            return headers if isinstance(given, Iterator) else given
        return headers

    def put_in(self, store: dict[AnyStr, tuple[AnyStr, AnyStr]], trace_id: AnyStr) -> None:
        """Put the id among headers that are stored under their names in lower case."""
        if self._allow_origin in store:
            for name, value in self.on(store.values(), trace_id):
                store[name.lower()] = name, value
        else:  # most responses: without a copy of all headers
            for lower, name in self._stored:
                store[lower] = name, trace_id

    def _without_id(self, given: list[Any]) -> list[Any]:
        """Drop the headers that carry the id, and let scripts of other origins read ours."""
        headers = [header for header in given if header[0].lower() not in self._lower]
        if any(header[0].lower() == self._allow_origin for header in headers):
            self._expose_id(headers)
        return headers

    def _expose_id(self, headers: list[Any]) -> None:
        # https://fetch.spec.whatwg.org/#http-access-control-expose-headers
        exposed = [(i, h[1]) for i, h in enumerate(headers) if h[0].lower() == self._expose]
        known = {part.strip().lower() for _, value in exposed for part in value.split(self._comma)}
        # Appended to a wildcard too: it does not count for requests with credentials.
        added = self._separator.join(name for name in self._lower if name not in known)
        if added and exposed:
            index, value = exposed[0]
            both = value + self._separator + added if value.strip() else added
            headers[index] = (headers[index][0], both)
        elif added:
            headers.append((self._expose, added))
