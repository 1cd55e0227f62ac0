"""`inject` and `extract`: write and read the trace id in headers of any kind."""

from __future__ import annotations

import sys
from os import urandom
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.serving import active
from pantheon_obs.propagation.watch import OPENTELEMETRY, span_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

TRACE_ID = "X-Trace-ID"
TRACEPARENT = "traceparent"

# The first valid one wins, as for an inbound request.
_READERS = {name: ids.parser_for(name) for name in (TRACE_ID.lower(), "x-request-id", TRACEPARENT)}

_inject_guard = Guard("inject")
_extract_guard = Guard("extract")
_span_guard = Guard("opentelemetry")


class Carrier(Protocol):
    """A dict, or the headers of an HTTP client or a queue."""

    def __iter__(self) -> Iterator[object]: ...
    def __setitem__(self, name: str, value: str, /) -> None: ...


_C = TypeVar("_C", bound=Carrier)


def trace_headers() -> dict[str, str]:
    """Make the headers that carry the current trace; none outside a trace."""
    trace_id, _ = active()
    # The variable is public: an invalid value must not become a second header.
    if not trace_id or ids.validate(trace_id.encode(errors="replace")) is None:
        return {}
    parent = _traceparent(trace_id)
    if parent is None:
        return {TRACE_ID: trace_id}
    return {TRACE_ID: trace_id, TRACEPARENT: parent}


def _traceparent(trace_id: str) -> str | None:
    """Make the value of https://www.w3.org/TR/trace-context-2/#traceparent-header.

    It is that of the active OpenTelemetry span, unchanged, as a span id belongs to one trace.
    Without one it has the trace id, if that is 32 hex digits or a UUID, and a fresh span id.
    """
    if OPENTELEMETRY in sys.modules:
        with _span_guard:
            span = span_context()
            if span is not None:
                return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 0xFF:02x}"
    digits = ids.to_hex(trace_id)
    # 01 is sampled: with 00 a service that follows its parent's decision would record nothing.
    return None if digits is None else f"00-{digits}-{urandom(8).hex()}-01"


@overload
def inject(headers: None = None, *, lower_case: bool = False) -> dict[str, str]: ...
@overload
def inject(headers: _C, *, lower_case: bool = False) -> _C: ...
def inject(headers: Carrier | None = None, *, lower_case: bool = False) -> Carrier:
    """Add the current trace to outgoing headers: `X-Trace-ID` and `traceparent`.

    A header that exists, in upper or lower case, is kept. Outside a trace nothing is added.
    `traceparent` is added if the id is 32 hex digits or a UUID, or an OpenTelemetry span is active.

    Args:
        headers: A mutable mapping of names to values; None for a new dict, to send through a queue
            or a process pool.
        lower_case: Whether the names are written in lower case, as the metadata of gRPC needs it.

    Returns:
        The same object.

    Example:
        >>> from pantheon_obs import trace_context
        >>> from pantheon_obs.propagation import inject
        >>> with trace_context("order-7"):
        ...     inject({"Accept": "text/plain"})
        {'Accept': 'text/plain', 'X-Trace-ID': 'order-7'}
    """
    carrier: Carrier = {} if headers is None else headers
    with _inject_guard:
        there = {name for given in carrier if (name := _lower(given)) is not None}
        for name, value in trace_headers().items():
            if name.lower() not in there:
                carrier[name.lower() if lower_case else name] = value
    return carrier


def extract(
    headers: Mapping[str, str]
    | Mapping[str, str | bytes]
    | Mapping[bytes, bytes]
    | Iterable[tuple[str | bytes, str | bytes]]
    | None,
) -> str | None:
    """Read the trace id from received headers.

    Of `X-Trace-ID`, `X-Request-ID` and `traceparent` the first valid one wins, by the rules for
    inbound requests. Never raises.

    Args:
        headers: A mapping, or pairs of name and value; names in any case, both `str` or `bytes`.

    Returns:
        The id; None without a valid one. `trace_context(None)` makes a fresh id.

    Example:
        >>> from pantheon_obs import trace_context
        >>> from pantheon_obs.propagation import extract
        >>> with trace_context(extract([(b"x-trace-id", b"order-7")])) as trace_id:
        ...     trace_id
        'order-7'
    """
    found: dict[str, str | None] = {}
    with _extract_guard:
        items: Callable[[], Any] = getattr(headers, "items", lambda: headers or ())
        for name, value in items():
            lower = _lower(name)
            # The first of repeated headers wins.
            if lower in _READERS and lower not in found:
                found[lower] = _READERS[lower](_raw(value))
    return next((accepted for name in _READERS if (accepted := found.get(name))), None)


def _lower(name: object) -> str | None:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return name.lower() if isinstance(name, str) else None


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="replace")  # no id has a `?`
    return value if isinstance(value, bytes) else b""
