"""Write and read the trace id in headers of any kind: `inject` and `extract`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.serving import active
from pantheon_obs.core.spans import (
    BAGGAGE,
    TRACEPARENT,
    TRACESTATE,
    Upstream,
    baggage_of,
    traceparent_of,
    upstream_of,
)
from pantheon_obs.propagation.opentelemetry import OPENTELEMETRY, span_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pantheon_obs.core.context import Trace

TRACE_ID = "X-Trace-ID"

# The first valid one wins, as for an inbound request.
_READERS = {name: ids.parser_for(name) for name in (TRACE_ID.lower(), "x-request-id", TRACEPARENT)}

_inject_guard = Guard("inject")
_extract_guard = Guard("extract")
_span_guard = Guard("opentelemetry")
_baggage_guard = Guard("baggage")

_PASSED_ON = frozenset({TRACEPARENT, TRACESTATE, BAGGAGE})


class Carrier(Protocol):
    """A dict, or the headers of an HTTP client or a queue."""

    def __iter__(self) -> Iterator[object]: ...
    def __setitem__(self, name: str, value: str, /) -> None: ...


_C = TypeVar("_C", bound=Carrier)


class ExtractedId(str):
    """A trace id from received headers, with the headers of its sender that go on."""

    __slots__ = ("upstream",)

    upstream: Upstream | None


def trace_headers() -> dict[str, str]:
    """Make the headers that carry the current trace; empty outside a trace."""
    trace_id, trace = active()
    # The variable is public: an invalid value must not become a second header.
    if not trace_id or ids.validate(trace_id.encode(errors="replace")) is None:
        return {}
    headers = {TRACE_ID: trace_id, **_traceparent(trace_id, trace)}
    with _baggage_guard:
        baggage = baggage_of(trace)
        if baggage:
            headers[BAGGAGE] = baggage
    return headers


def _traceparent(trace_id: str, trace: Trace | None) -> dict[str, str]:
    """Make https://www.w3.org/TR/trace-context-2/#traceparent-header and its `tracestate`.

    They come from the active OpenTelemetry span, unchanged, as a span id belongs to one trace.
    """
    if OPENTELEMETRY in sys.modules:
        with _span_guard:
            span = span_context()
            if span is not None:
                flags = span.trace_flags & 0xFF
                parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{flags:02x}"
                state = span.trace_state.to_header()
                return {TRACEPARENT: parent, **({TRACESTATE: state} if state else {})}
    return traceparent_of(trace_id, trace)


@overload
def inject(headers: None = None, *, lower_case: bool = False) -> dict[str, str]: ...
@overload
def inject(headers: _C, *, lower_case: bool = False) -> _C: ...
def inject(headers: Carrier | None = None, *, lower_case: bool = False) -> Carrier:
    """Add the current trace to outgoing headers: `X-Trace-ID`, `traceparent`, `baggage`.

    A header that exists, in upper or lower case, is kept. Outside a trace nothing is added.
    `traceparent` is added if the id is 32 hex digits or a UUID, or the caller has sent one, or an
    OpenTelemetry span is active. The caller's `tracestate` and `baggage` go on.

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
        The id, with the sender's `traceparent`, `tracestate` and `baggage`, which `trace_context`
        sends on; None without a valid one. `trace_context(None)` makes a fresh id.

    Example:
        >>> from pantheon_obs import trace_context
        >>> from pantheon_obs.propagation import extract
        >>> with trace_context(extract([(b"x-trace-id", b"order-7")])) as trace_id:
        ...     trace_id
        'order-7'
    """
    found: dict[str, str | None] = {}
    passed_on: list[tuple[str, bytes]] = []
    with _extract_guard:
        items: Callable[[], Any] = getattr(headers, "items", lambda: headers or ())
        for name, value in items():
            lower = _lower(name)
            # The first of repeated headers wins.
            if lower in _READERS and lower not in found:
                found[lower] = _READERS[lower](_raw(value))
            if lower in _PASSED_ON:
                passed_on.append((lower, _raw(value)))
    accepted = next((accepted for name in _READERS if (accepted := found.get(name))), None)
    if accepted is None:
        return None
    extracted = ExtractedId(accepted)
    extracted.upstream = upstream_of(passed_on)
    return extracted


def _lower(name: object) -> str | None:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return name.lower() if isinstance(name, str) else None


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="replace")  # no id has a `?`
    return value if isinstance(value, bytes) else b""
