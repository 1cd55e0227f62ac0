"""One event as an ordered dict of plain, redacted values: what every format renders."""

from __future__ import annotations

import time
from contextvars import copy_context
from math import isfinite
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import structlog.contextvars

from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.failures import trace_of
from pantheon_obs.sinks.redact import make_room
from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextvars import ContextVar

    from pantheon_obs.sinks.redact import Redactor

_PREFIX = "structlog_"
_RESERVED = frozenset({"timestamp", "level", "event", "logger", "trace_id", "exception"})
_SECOND_ID = "request_id"


class LineBuilder:
    """Puts the parts of an event in the order of the schema.

    Args:
        redactor: Takes secrets out.
        static: Fields that are the same on every line.
        request_id: Whether `request_id` stands beside `trace_id`, with the same value.
    """

    def __init__(
        self, redactor: Redactor, static: Mapping[str, str], *, request_id: bool = False
    ) -> None:
        self._redactor = redactor
        self._request_id = request_id
        self._reserved = _RESERVED | {_SECOND_ID} if request_id else _RESERVED
        self._static = {key: redactor.text(value) for key, value in static.items()}
        self._second = ("", "")
        # What a harmless key is called on the line; asked for with each field, so it is kept.
        self._names: dict[object, str] = {}

    def build(  # noqa: PLR0913, PLR0917 - one line's parts
        self,
        level: str,
        event: str,
        logger: str,
        fields: Mapping[str, Any],
        error: BaseException | None = None,
        created: float | None = None,
        trace_id: str | None = None,
        bound: Mapping[str, Any] | None = None,
        outside: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """The line of one event.

        Args:
            level: The level's name in lower case.
            event: The event's name or the message.
            logger: The logger's name.
            fields: The event's own fields.
            error: The exception whose traceback the line carries.
            created: When it happened, in seconds since the epoch; None means now.
            trace_id: The trace; None means that of the current context.
            bound: What `bind()` put on the trace; None means that of the current context.
            outside: For a fact of ours, the fields whose text is not; the others are plain.

        Returns:
            A new dict; every value is a str, int, float, bool, None, list or dict.
        """
        redactor = self._redactor
        line: dict[str, Any] = {
            "timestamp": self._timestamp(
                str(time.time_ns() // 1000) if created is None else f"{round(created * 1e6):07d}"
            ),
            "level": level,
            "event": event if event in redactor.harmless else redactor.text(event),
            "logger": logger,
        }
        if trace_id is None:
            trace_id = current_trace_id.get() or trace_of(error)
        if trace_id:
            line["trace_id"] = trace_id
            if self._request_id:
                line[_SECOND_ID] = trace_id
        if outside is None or redactor.knows_more:
            self._add(line, fields)
        else:
            line.update(fields)
            self._redact(line, outside)
        if error is not None and "error_type" not in line:
            line["error_type"] = type(error).__name__
        self._add_bound(line, bound)
        if self._static:
            self._add_static(line)
        if error is not None:
            line["exception"] = redactor.text(traceback_of(error))
        return line

    def _redact(self, line: dict[str, Any], keys: Collection[str]) -> None:
        redactor = self._redactor
        for key in keys:
            value = line.get(key)
            if type(value) is str:
                if value not in redactor.harmless:
                    line[key] = redactor.text(value)
            elif value:
                line[key] = redactor.clean(value)

    def _add(self, line: dict[str, Any], fields: Mapping[str, Any]) -> None:
        redactor = self._redactor
        harmless = redactor.harmless
        names = self._names
        for given, value in fields.items():
            key = names.get(given)
            if key is None:
                self._put(line, given, value)
                continue
            # The plain types are told apart here, as each call would cost what this loop does.
            kind = type(value)
            if kind is str:
                line[key] = value if value in harmless else redactor.text(value)
            elif (
                kind is int or value is None or kind is bool or (kind is float and isfinite(value))
            ):
                line[key] = value
            else:
                line[key] = redactor.clean(value)

    def _add_static(self, line: dict[str, Any]) -> None:
        for key, text in self._static.items():
            line.setdefault(key, text)

    def _add_bound(self, line: dict[str, Any], bound: Mapping[str, Any] | None) -> None:
        """What `bind()` and structlog put on this context, unless the event has it by itself."""
        if bound is None:
            record = current_trace.get()
            bound = record.bound if record is not None else None
        if bound:
            self._put_missing(line, dict(bound))
        for name, variable in _structlog_variables():
            value = variable.get(...)
            if value is not ...:  # structlog's "unset"
                self._put_missing(line, {name.removeprefix(_PREFIX): value})

    def _put_missing(self, line: dict[str, Any], fields: Mapping[str, Any]) -> None:
        for given, value in fields.items():
            if self._name_of(given) not in line:
                self._put(line, given, value)

    def _put(self, line: dict[str, Any], given: object, value: object) -> None:
        key = self._name_of(given)
        line[key] = self._redactor.under(key, value)
        if not self._redactor.is_secret(key):
            make_room(self._names)
            self._names[given] = key

    def _name_of(self, given: object) -> str:
        """What a field is called: one of the host's under one of our names has another."""
        name = given if type(given) is str else described(given)
        return f"{name}_" if name in self._reserved else name

    def _timestamp(self, microseconds: str) -> str:
        second = microseconds[:-6]
        cached, prefix = self._second
        if second != cached:
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(int(second)))
            self._second = (second, prefix)  # one assignment: other threads see both or neither
        return f"{prefix}{microseconds[-6:]}Z"


def _structlog_variables() -> Collection[tuple[str, ContextVar[Any]]]:
    """What `structlog.contextvars` keeps its fields in: one variable per key."""
    if _variables is not None:
        return tuple(_variables.items()) if _variables else ()
    named = [(variable.name, variable) for variable in copy_context()]
    return [(name, variable) for name, variable in named if name.startswith(_PREFIX)]


# Its register of them: much faster than a search of the context, which holds everybody's.
_variables: Mapping[str, ContextVar[Any]] | None = getattr(
    structlog.contextvars, "_CONTEXT_VARS", None
)


def traceback_of(error: BaseException) -> str:
    """The traceback with causes and groups, without local variables; never raises."""
    try:
        text = "".join(format_exception(error)).rstrip("\n")
    except Exception as failure:  # noqa: BLE001 - exceptions can be as hostile as any value
        text = f"{type(error).__name__} ({type(failure).__name__} while it was formatted)"
    return described(text)
