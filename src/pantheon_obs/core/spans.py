"""The place of a trace among services: its own span, its caller's, and headers that go on unread.

https://www.w3.org/TR/trace-context-2/ and https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

import re
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.trace_id import split_traceparent, to_hex

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACEPARENT, TRACESTATE, BAGGAGE = "traceparent", "tracestate", "baggage"

_SAMPLED = "01"
_printable = re.compile(rb"[\t -~]{1,8192}").fullmatch  # neither limit of W3C's is higher
_LONGEST = 1024  # characters of a bound value
_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"  # of a value, beside letters and digits


class Upstream(NamedTuple):
    """The caller's headers that are passed on, each None or empty without a valid one.

    Attributes:
        fields: Names of the baggage members that become bound fields: those that the application
            was set up with. None stands for the setting in force.
    """

    trace: str | None = None  # 32 hex digits
    span: str | None = None  # 16 hex digits
    flags: str = _SAMPLED
    state: str = ""
    baggage: str = ""
    fields: tuple[str, ...] | None = None


class Spans:
    """The span of a request or task, made when it is first needed, and its caller's span."""

    __slots__ = ("span_id", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.span_id: str | None = None
        self.upstream = upstream

    def fields(self) -> dict[str, str]:
        """The fields of both on the trace's line."""
        named = {"span_id": self.span_id, "parent_span_id": self.upstream.span}
        return {name: value for name, value in named.items() if value is not None}


class SpanOwner(Protocol):
    """A `Trace`, as far as this module uses it."""

    spans: Spans | None
    bound: dict[str, Any]
    own_baggage: bool


_NOTHING = Upstream()


def upstream_of(
    headers: Iterable[tuple[str, bytes | str]], start: Upstream = _NOTHING
) -> Upstream | None:
    """Read the caller's headers, whose names are in lower case; None if no valid one is there."""
    parts = start
    state = ""
    for name, value in headers:
        raw = value.encode("latin-1", "replace") if isinstance(value, str) else value
        if name == TRACEPARENT:
            if parts.trace is None and (found := split_traceparent(raw)) is not None:
                parts = parts._replace(trace=found[0], span=found[1], flags=found[2])
        elif (raw := raw.strip()) and _printable(raw) is not None:
            if name == TRACESTATE:  # a list may come in several headers
                state = f"{state},{raw.decode()}" if state else raw.decode()
            else:
                text = raw.decode()
                parts = parts._replace(baggage=f"{parts.baggage},{text}" if parts.baggage else text)
    if parts.trace is not None and state:
        parts = parts._replace(state=state)
    return None if parts is start else parts


def attach(trace: SpanOwner, upstream: Upstream | None) -> None:
    """Give a trace its caller's span, and bind the fields that come as baggage."""
    if upstream is None:
        return
    trace.spans = Spans(upstream)
    if upstream.baggage and (fields := _fields_of(trace, upstream)):
        for name, value, _ in _members(upstream.baggage):
            if name in fields:
                trace.bound.setdefault(name, value)


def _fields_of(trace: SpanOwner, upstream: Upstream) -> tuple[str, ...]:
    if upstream.fields is None and not trace.own_baggage:
        fields: tuple[str, ...] = in_force("baggage_fields")
        return fields
    return upstream.fields or ()


def span_of(trace: SpanOwner) -> str:
    """Return the id of a trace's span, and make one at the first call."""
    # Several threads may ask at once.
    spans: Spans = trace.spans or trace.__dict__.setdefault("spans", Spans(_NOTHING))
    if spans.span_id is None:
        spans.span_id = urandom(8).hex()
    return spans.span_id


def traceparent_of(trace_id: str, trace: SpanOwner | None) -> dict[str, str]:
    """Make `traceparent` and `tracestate` of a trace, with the flags of its caller.

    An id that is neither 32 hex digits nor a UUID goes on in the trace of the caller, if any.
    """
    spans = None if trace is None else trace.spans
    upstream = _NOTHING if spans is None else spans.upstream
    digits = to_hex(trace_id) or upstream.trace
    if digits is None:
        return {}
    span_id = urandom(8).hex() if trace is None else span_of(trace)
    # 01 is sampled: with 00 a service that follows its parent's decision would record nothing.
    headers = {TRACEPARENT: f"00-{digits}-{span_id}-{upstream.flags}"}
    if upstream.state and upstream.trace == digits:
        headers[TRACESTATE] = upstream.state
    return headers


def baggage_of(trace: SpanOwner | None) -> str:
    """Make the `baggage` of a trace: its caller's, with the values that our fields have now.

    A member whose value is the caller's keeps its properties; None is no value.
    """
    if trace is None:
        return ""
    upstream = _NOTHING if trace.spans is None else trace.spans.upstream
    given, there = upstream.baggage, trace.bound
    bound = {name: there[name] for name in _fields_of(trace, upstream) if name in there}
    if not bound:
        return given
    kept = []
    for name, value, text in _members(given):
        if type(bound.get(name)) is str and bound[name] == value:
            del bound[name]
        if name not in bound:
            kept.append(text)
    ours = [f"{name}={_encoded(value)}" for name, value in bound.items() if value is not None]
    return ",".join(kept + ours)


def merged(there: str, ours: str) -> str:
    """Join two values of `baggage`; the members of the first win."""
    names = {name for name, _, _ in _members(there)}
    return ",".join([there, *(text for name, _, text in _members(ours) if name not in names)])


def _members(baggage: str) -> list[tuple[str, str, str]]:
    """Split a value of `baggage`: the name of each member, its value, and its whole text."""
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415 - takes 2 ms, and few have baggage

    members = []
    for part in baggage.split(","):
        name, is_pair, value = part.partition(";")[0].partition("=")
        if is_pair:
            raw = unquote_to_bytes(value.strip())[: 4 * _LONGEST]
            text = raw.decode("utf-8", "replace")[:_LONGEST]
            members.append((name.strip(), text, part.strip()))
    return members


def _encoded(value: Any) -> str:  # noqa: ANN401 - a bound field may be anything
    from urllib.parse import quote  # noqa: PLC0415 - as above

    return quote(str(value)[:_LONGEST].encode("utf-8", "replace"), safe=_SAFE)
