"""An instrumented Celery app, and the trace in the headers of its messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.identity import Identity
from pantheon_obs.core.serving import active
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.spans import (
    TRACEPARENT,
    TRACESTATE,
    Upstream,
    span_of,
    traceparent_of,
    upstream_of,
)
from pantheon_obs.core.trace_id import to_hex
from pantheon_obs.propagation.carriers import trace_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.core.settings import Settings

ID = "x-trace-id"
FIELDS = "x-trace-fields"
"""The header of the bound fields, beside a trace id that the library has set."""

_POLL = "celery.chord_unlock"
"""The task that asks each second whether the tasks of a chord have ended."""

_SPAN = "x-trace-span"
"""The header of the sender's span."""

_FRESH = "x-trace-fresh"
"""The header of a message that was sent outside a trace: OpenTelemetry may have begun one since."""

_OURS = frozenset({ID, FIELDS, _SPAN, _FRESH})
_PARENTS = (TRACEPARENT, TRACESTATE, _SPAN, _FRESH)
_span = re.compile("[0-9a-f]{16}").fullmatch

_KEY = "_pantheon_obs"
_LONGEST = 1024  # characters: a broker's frame has room for that beside everything else
_WHOLE = 2**63  # AMQP carries integers of 64 bits


class CeleryProcess:
    """The state of this process."""

    tracing: Tracing | None = None  # of the app whose tasks or schedule it is about to run
    on_startup: Callable[[], None] | None = None  # takes over logging in a process of the pool
    is_pool_child: bool = False  # if a task kills it, its parent reports the end of the task


process = CeleryProcess()


@dataclass(repr=False, eq=False)  # an error report may show it, and the settings have secrets
class Tracing:
    """Marks an app as instrumented, and keeps the arguments of `instrument_celery`."""

    app: Any
    given: Settings | None
    overrides: Mapping[str, object]
    bound_fields: frozenset[str]

    def __post_init__(self) -> None:
        vars(self.app)[_KEY] = self

    def settings(self) -> Settings:
        """Resolve the settings, with the environment and the settings file as they are now."""
        return resolve(self.given, self.overrides)

    @cached_property
    def identity(self) -> Identity:
        """Reads the id of a message; made late, as a Django project's settings are loaded late."""
        # `trust_inbound` is about an application's clients; its broker is its own.
        return Identity(replace(self.settings(), inbound_headers=(ID,), trust_inbound=True))

    def headers(self, given: Any) -> Any:
        """Copy the publisher's headers for an outgoing message, and add the trace's headers."""
        given = {} if given is None else given
        if not isinstance(given, dict) or any(_is_trace_id(name) for name in given):
            return given
        trace_id, trace = active()
        if trace_id and trace is not None:
            parents = {**trace_headers(), _SPAN: span_of(trace)}
        else:
            trace_id = trace_id or self.identity.of(())
            parents = {**traceparent_of(trace_id, None), _FRESH: "1"}
        return {
            **{name: parents[name] for name in _PARENTS if name in parents},
            **given,
            ID: trace_id,
            FIELDS: self.crossing({} if trace is None else trace.bound),
        }

    def crossing(self, fields: Any) -> dict[str, Any]:
        """Select the fields that may cross; a message may bring anything as its fields."""
        if not isinstance(fields, dict):
            return {}
        there = self.bound_fields & fields.keys()
        return {name: fields[name] for name in there if _is_plain(fields[name])}

    def trace_id_of(self, headers: Mapping[str, Any]) -> str:
        """Read the trace id of an incoming message, or make a fresh one."""
        value = headers.get(ID)
        if headers.get(_FRESH):
            upstream = _upstream(headers)
            if upstream is not None and upstream.trace != to_hex(str(value)):
                value = upstream.trace
        if value is None:
            value = next((headers[name] for name in headers if _is_trace_id(name)), None)
        if value is None:
            return self.identity.of(())
        raw = value.encode("utf-8", "replace") if isinstance(value, str) else b""
        return self.identity.of([(ID.encode(), raw)])

    def parent_of(self, headers: Mapping[str, Any]) -> Upstream | None:
        """Read the sender's span, and the headers of its caller that go on."""
        upstream = _upstream(headers)
        span = headers.get(_SPAN)
        if isinstance(span, str) and _span(span):
            return (upstream or Upstream())._replace(span=span)
        if headers.get(_FRESH) and upstream is not None and upstream.trace == to_hex(headers[ID]):
            return upstream._replace(span=None)  # nobody has this span
        return upstream

    def mark(self, headers: dict[str, Any]) -> str:
        """Put a trace id on an incoming message that has no valid one; return the message's id."""
        trace_id = self.trace_id_of(headers)
        if headers.get(ID) != trace_id:
            headers[ID] = trace_id
            headers.setdefault(FIELDS, {})
        return trace_id

    def describe(self, request: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Read the arguments of a `TaskRun` from a message."""
        return {
            "task": request.get("shadow") or name,
            "queue": self._queue(request.get("delivery_info") or {}),
            "retries": request.get("retries") or 0,
            "quiet": name == _POLL,
            "bound": self.crossing(request.get(FIELDS)),
        }

    def _queue(self, delivery: Mapping[str, Any]) -> str | None:
        """Find the queue of a message by its exchange and routing key."""
        exchange, key = delivery.get("exchange"), delivery.get("routing_key")
        if exchange:
            for queue in self.app.amqp.queues.values():
                if (queue.exchange.name, queue.routing_key) == (exchange, key):
                    return str(queue.name)
        return key  # the default exchange takes the queue's name for a key


def tracing_of(app: Any) -> Tracing | None:
    """Look up the tracing of an app; None for one that is not instrumented."""
    tracing: Tracing | None = vars(app).get(_KEY)
    return tracing


def without_ours(request: dict[str, Any]) -> dict[str, Any]:
    """Copy a task's request without our headers, which `self.request.headers` would show."""
    if FIELDS not in request:
        return request
    request = _without(request)
    inner = request.get("headers")
    if isinstance(inner, dict):  # Sentry repeats all headers there
        request["headers"] = _without(inner)
    return request


def reset() -> None:
    """Forget which app this process runs (used by `pantheon_obs.testing.reset`)."""
    vars(process).clear()


def _is_trace_id(name: object) -> bool:
    return str(name).lower() == ID


def _without(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name not in _OURS}


def _upstream(headers: Mapping[str, Any]) -> Upstream | None:
    pairs = [(name, headers[name]) for name in (TRACEPARENT, TRACESTATE) if name in headers]
    return upstream_of([pair for pair in pairs if isinstance(pair[1], str)])


def _is_plain(value: object) -> bool:
    """Whether every broker and serializer takes a value as it is."""
    if type(value) is str:
        return len(value) <= _LONGEST and value == value.encode("utf-8", "replace").decode()
    if type(value) is float:
        return isfinite(value)
    return value is None or type(value) is bool or (type(value) is int and abs(value) < _WHOLE)
