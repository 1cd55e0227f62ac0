"""One event as an ordered dict of plain, redacted values: what every format renders."""

from __future__ import annotations

import time
from contextvars import copy_context
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_record, current_trace_id
from pantheon_obs.core.failures import mark_logged, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pantheon_obs.sinks.redact import Redactor

_RESERVED = frozenset({"timestamp", "level", "event", "logger", "trace_id", "exception"})


class LineBuilder:
    """Puts the parts of an event in the order of the schema.

    Args:
        redactor: Takes secrets out.
        static: Fields that are the same on every line.
    """

    def __init__(self, redactor: Redactor, static: Mapping[str, str]) -> None:
        self._redactor = redactor
        self._static = static
        self._second = (-1, "")

    def build(
        self,
        level: str,
        event: str,
        logger: str,
        fields: Mapping[str, Any],
        *,
        error: BaseException | None = None,
        created: float | None = None,
        trace_id: str | None = None,
        bound: Mapping[str, Any] | None = None,
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

        Returns:
            A new dict; every value is a str, int, float, bool, None, list or dict.
        """
        redactor = self._redactor
        line: dict[str, Any] = {
            "timestamp": self._timestamp(time.time() if created is None else created),
            "level": level,
            "event": redactor.text(event),
            "logger": logger,
        }
        if trace_id is None:
            trace_id = current_trace_id.get() or trace_of(error) or ""
        if trace_id:
            line["trace_id"] = trace_id
        self._add(line, fields)
        if error is not None and "error_type" not in line:
            line["error_type"] = type(error).__name__
        if bound is None:
            record = current_record.get()
            bound = record.bound if record is not None else {}
        if bound:
            self._add(line, {key: bound[key] for key in list(bound) if key not in line})
        for key, value in _structlog_bound():
            if key not in line:
                self._add(line, {key: value})
        for key, text in self._static.items():
            line.setdefault(key, text)
        if error is not None:
            line["exception"] = self._traceback(error)
        return line

    def _add(self, line: dict[str, Any], fields: Mapping[str, Any]) -> None:
        redactor = self._redactor
        for given, value in fields.items():
            # A field of the host's under one of our names is kept under another.
            key = f"{given}_" if given in _RESERVED else given
            kind = type(value)
            if redactor.is_secret(key):
                line[key] = "[redacted]"
            elif kind is int or kind is bool or value is None:
                line[key] = value
            elif kind is str:
                line[key] = redactor.text(value)
            else:
                line[key] = redactor.clean(value)

    def _traceback(self, error: BaseException) -> str:
        """The traceback with causes and groups, without local variables."""
        mark_logged(error)
        try:
            text = "".join(format_exception(error))
        except Exception as failure:  # noqa: BLE001 - exceptions can be as hostile as any value
            text = f"{type(error).__name__} ({type(failure).__name__} while it was formatted)"
        return str(self._redactor.clean(text.rstrip("\n")))

    def _timestamp(self, moment: float) -> str:
        second = int(moment)
        cached, prefix = self._second
        if second != cached:
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, prefix)  # one assignment: other threads see both or neither
        return f"{prefix}.{int((moment - second) * 1_000_000):06d}Z"


def _structlog_bound() -> Iterator[tuple[str, Any]]:
    """What `structlog.contextvars` holds here: variables `structlog_<key>`, Ellipsis for unset."""
    for variable, value in copy_context().items():
        name = variable.name
        if value is not ... and name.startswith("structlog_"):
            yield name[10:], value
