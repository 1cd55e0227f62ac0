"""What an instrumented Celery app has of ours: the trace in its messages' headers, in and out."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.core.settings import Settings

TRACE_ID = "x-trace-id"
FIELDS = "x-trace-fields"
"""Stands beside an id that is ours, for the fields that cross; a publisher's own id has none."""

_KEY = "_pantheon_obs"
_LONGEST = 1024  # what a broker's frame has room for beside everything else
_WHOLE = 2**63  # what AMQP can carry


class Tracing:
    """The arguments of `instrument_celery`, and what follows from them.

    Args:
        app: The Celery app.
        settings: The settings, if the host gave any.
        overrides: Fields of `Settings` that win.
        bound_fields: Names of the fields that cross.
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - Celery has no types
        settings: Settings | None,
        overrides: Mapping[str, object],
        bound_fields: frozenset[str],
    ) -> None:
        self.app = app
        self.given = settings
        self.overrides = overrides
        self.bound_fields = bound_fields

    def settings(self) -> Settings:
        """The settings, with what the environment and a settings file say by now."""
        return resolve(self.given, self.overrides)

    @cached_property
    def identity(self) -> Identity:
        """Reads the id of a message; made late, as a Django project's settings come later."""
        # What comes through the broker is the host's own: `trust_inbound` is about its clients.
        return Identity(replace(self.settings(), inbound_headers=(TRACE_ID,), trust_inbound=True))

    def headers(self, given: Any) -> Any:  # noqa: ANN401 - whatever the publisher has given
        """The headers of a message that is published here, with the trace's.

        Args:
            given: The publisher's headers, which are left as they are.
        """
        if not (given is None or isinstance(given, dict)):
            return given
        given = given or {}
        if any(_is_trace_id(name) for name in given):
            return given
        record = current_trace.get()
        bound = record.bound if record is not None else {}
        return {
            **given,
            TRACE_ID: current_trace_id.get() or self.identity.of(()),
            FIELDS: self.crossing(bound),
        }

    def crossing(self, fields: Any) -> dict[str, Any]:  # noqa: ANN401 - a message may bring anything
        """Those of some fields that may cross."""
        if not isinstance(fields, dict) or not self.bound_fields:
            return {}
        return {
            name: fields[name]
            for name in self.bound_fields
            if name in fields and _is_plain(fields[name])
        }

    def trace_of(self, headers: Mapping[str, Any]) -> str:
        """The trace of a message: that of its header, or a fresh one."""
        value = headers.get(TRACE_ID)
        if value is None:
            value = next((headers[name] for name in headers if _is_trace_id(name)), None)
        if value is None:
            return self.identity.of(())
        raw = value.encode("utf-8", "replace") if isinstance(value, str) else b""
        return self.identity.of([(TRACE_ID.encode(), raw)])

    def mark(self, headers: dict[str, Any]) -> str:
        """Give a message that has come without a trace one; the trace it has now."""
        trace_id = self.trace_of(headers)
        if headers.get(TRACE_ID) != trace_id:
            headers[TRACE_ID] = trace_id
            headers.setdefault(FIELDS, {})
        return trace_id

    def describe(self, request: Mapping[str, Any], name: str) -> dict[str, Any]:
        """What a message says of a task, as `TaskRun` takes it."""
        return {
            "task": request.get("shadow") or name,
            "queue": self._queue(request.get("delivery_info") or {}),
            "retries": request.get("retries") or 0,
        }

    def _queue(self, delivery: Mapping[str, Any]) -> str | None:
        """The queue that a message came through, which it does not say itself."""
        exchange, key = delivery.get("exchange"), delivery.get("routing_key")
        if exchange:
            for queue in self.app.amqp.queues.values():
                if (queue.exchange.name, queue.routing_key) == (exchange, key):
                    return str(queue.name)
        return key  # the default exchange takes the queue's name for a key


def is_instrumented(app: Any) -> bool:  # noqa: ANN401 - as above
    """Whether an app has something of ours."""
    return _KEY in vars(app)


def tracing_of(app: Any) -> Tracing:  # noqa: ANN401 - as above
    """What an instrumented app has of ours."""
    tracing: Tracing = vars(app)[_KEY]
    return tracing


def attach(tracing: Tracing) -> None:
    """Make its app an instrumented one."""
    vars(tracing.app)[_KEY] = tracing


def without_ours(request: dict[str, Any]) -> dict[str, Any]:
    """A task's request as it is without us: `self.request.headers` shows what is left over."""
    if FIELDS not in request:
        return request
    request = _without(request)
    inner = request.get("headers")
    if isinstance(inner, dict):  # where Sentry repeats all headers
        request["headers"] = _without(inner)
    return request


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
