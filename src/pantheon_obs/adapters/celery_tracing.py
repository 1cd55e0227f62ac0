"""An instrumented Celery app, and the trace in the headers of its messages."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.core.settings import Settings

TRACE_ID = "x-trace-id"
FIELDS = "x-trace-fields"
"""The header of the bound fields, beside a trace id that the library has set."""

_KEY = "_pantheon_obs"
_LONGEST = 1024  # characters: a broker's frame has room for that beside everything else
_WHOLE = 2**63  # AMQP carries integers of 64 bits


class Process:
    """The state of this process.

    Attributes:
        tracing: The app whose tasks or schedule it is about to run.
        on_startup: Takes over logging in a process of the pool.
        is_pool_child: Whether it is a process of a pool: where a task kills it, its parent reports
            the end of the task.
    """

    def __init__(self) -> None:
        self.tracing: Tracing | None = None
        self.on_startup: Callable[[], None] | None = None
        self.is_pool_child = False


process = Process()


class Tracing:
    """Marks an app as instrumented, and keeps the arguments of `instrument_celery`.

    Args:
        app: The Celery app.
        given: The settings that the application gave; None for those of the environment.
        overrides: Fields of `Settings` that replace those.
        bound_fields: Names of the fields that cross.
    """

    def __init__(
        self,
        app: Any,
        given: Settings | None,
        overrides: Mapping[str, object],
        bound_fields: frozenset[str],
    ) -> None:
        self.app = app
        self.given = given
        self.overrides = overrides
        self.bound_fields = bound_fields
        vars(app)[_KEY] = self

    def settings(self) -> Settings:
        """Resolve the settings, with the environment and the settings file as they are now."""
        return resolve(self.given, self.overrides)

    @cached_property
    def identity(self) -> Identity:
        """Reads the id of a message; made late, as a Django project's settings are loaded late."""
        # `trust_inbound` is about an application's clients; its broker is its own.
        return Identity(replace(self.settings(), inbound_headers=(TRACE_ID,), trust_inbound=True))

    def headers(self, given: Any) -> Any:
        """Make the headers of an outgoing message: those of the publisher, and the trace's.

        Args:
            given: The publisher's headers, which are not changed.
        """
        if not (given is None or isinstance(given, dict)):
            return given
        given = given or {}
        if any(_is_trace_id(name) for name in given):
            return given
        trace = current_trace.get()
        return {
            **given,
            TRACE_ID: current_trace_id.get() or self.identity.of(()),
            FIELDS: self.crossing({} if trace is None else trace.bound),
        }

    def crossing(self, fields: Any) -> dict[str, Any]:
        """Select the fields that may cross; a message may bring anything as its fields."""
        if not isinstance(fields, dict):
            return {}
        return {
            name: fields[name]
            for name in self.bound_fields
            if name in fields and _is_plain(fields[name])
        }

    def trace_of(self, headers: Mapping[str, Any]) -> str:
        """Read the trace id of an incoming message, or make a fresh one."""
        value = headers.get(TRACE_ID)
        if value is None:
            value = next((headers[name] for name in headers if _is_trace_id(name)), None)
        if value is None:
            return self.identity.of(())
        raw = value.encode("utf-8", "replace") if isinstance(value, str) else b""
        return self.identity.of([(TRACE_ID.encode(), raw)])

    def mark(self, headers: dict[str, Any]) -> str:
        """Put a trace id on an incoming message that has no valid one; return the message's id."""
        trace_id = self.trace_of(headers)
        if headers.get(TRACE_ID) != trace_id:
            headers[TRACE_ID] = trace_id
            headers.setdefault(FIELDS, {})
        return trace_id

    def describe(self, request: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Read the arguments of a `TaskRun` from a message."""
        return {
            "task": request.get("shadow") or name,
            "queue": self._queue(request.get("delivery_info") or {}),
            "retries": request.get("retries") or 0,
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
    vars(process).update(vars(Process()))


def _is_trace_id(name: object) -> bool:
    return str(name).lower() == TRACE_ID


def _without(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name not in (TRACE_ID, FIELDS)}


def _is_plain(value: object) -> bool:
    """Whether every broker and serializer takes a value as it is."""
    if type(value) is str:
        return len(value) <= _LONGEST and value == value.encode("utf-8", "replace").decode()
    if type(value) is float:
        return isfinite(value)
    return value is None or type(value) is bool or (type(value) is int and abs(value) < _WHOLE)
