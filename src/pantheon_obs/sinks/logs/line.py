"""Make an ordered dict of plain, redacted values of an entry; every format renders it."""

from __future__ import annotations

import re
import time
from math import isfinite
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import trace_id_of
from pantheon_obs.core.late_imports import when_imported
from pantheon_obs.core.serving import active
from pantheon_obs.sinks.logs import structlog_fields
from pantheon_obs.sinks.logs.entry import LEVEL_NAMES, BoundThen, Entry
from pantheon_obs.sinks.logs.tracebacks import traceback_of
from pantheon_obs.sinks.redact.plain import described, make_room

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.redact.redactor import Redactor

# A path of short words, numbers and UUIDs has nothing that the redactor would find, which a test
# compares. Nearly each request brings a new path: to redact it took a tenth of the whole story.
is_plain_path = re.compile(
    "(?:/(?:[a-z0-9]{0,15}+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})){1,8}"
).fullmatch

_PREFIX = "structlog_"
_SECOND, _TWO_SECONDS = 1_000_000, 2_000_000  # microseconds
RESERVED = frozenset({"timestamp", "level", "event", "logger", "trace_id", "exception"})
"""The keys that are no fields."""


class LineBuilder:
    """Puts the parts of an entry, and static fields, in the order of the schema.

    If `request_id` is set, a field of this name stands beside `trace_id`, with the same value.
    """

    def __init__(
        self, redactor: Redactor, static: Mapping[str, str], *, request_id: bool = False
    ) -> None:
        when_imported("structlog", structlog_fields.read_register)
        self._redactor = redactor
        self._request_id = request_id
        self._reserved = RESERVED | {"request_id"} if request_id else RESERVED
        self._static = tuple((key, redactor.text(value)) for key, value in static.items())
        # When the second before the current one began, and the text of the current one.
        self._second = -2 * _SECOND, ""
        # The name on the line of each harmless key: looking it up is faster than judging it again.
        self._names: dict[object, str] = {}

    def build(self, entry: Entry | Event, level: int) -> dict[str, Any]:
        """Build the line of one entry; its values are str, int, float, bool, None, list or dict.

        An event of this library may compute its level, so that is given beside it.
        """
        redactor = self._redactor
        event, error, outside = entry.event, entry.error, entry.outside
        created = entry.created
        micros = time.time_ns() // 1000 if created is None else round(created * 1e6)
        before, prefix = self._second
        past = micros - before
        if not _SECOND <= past < _TWO_SECONDS:
            past, prefix = self._next_second(micros)
        line: dict[str, Any] = {
            # A format with zeros in front takes ten times as long as this.
            "timestamp": f"{prefix}{str(past)[1:]}Z",
            "level": LEVEL_NAMES[level],
            "event": event if event in redactor.harmless else redactor.text(event),
            "logger": entry.logger,
        }
        trace_id, bound = entry.trace_id, entry.bound
        if trace_id is None:
            trace_id, trace = active()
            if error is not None and (escaped_from := trace_id_of(error)):
                # The fields of another trace do not describe this one.
                trace = trace if trace_id in {"", escaped_from} else None
                trace_id = escaped_from
            bound = trace.bound if bound is None and trace is not None else bound
        if trace_id:
            line["trace_id"] = trace_id
            if self._request_id:
                line["request_id"] = trace_id
        if outside is None or redactor.knows_more:
            self._add(line, entry.fields if isinstance(entry, Entry) else entry.fields())
        else:
            line = {**line, **entry.fields} if isinstance(entry, Entry) else entry.fields(line)
            self._redact(line, outside)
        if error is not None and "error_type" not in line:
            line["error_type"] = type(error).__name__
        if bound or self._static or structlog_fields.variables:
            self._add_context(line, bound)
        if error is not None:
            line["exception"] = redactor.text(traceback_of(error, entry.traceback), keep_end=True)
        return line

    def _next_second(self, micros: int) -> tuple[int, str]:
        """Begin with the second of a time; return its distance to the last one, and its text."""
        second, micros = divmod(micros, _SECOND)
        prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        self._second = (second - 1) * _SECOND, prefix
        return _SECOND + micros, prefix

    def _redact(self, line: dict[str, Any], keys: Collection[str]) -> None:
        redactor = self._redactor
        harmless = redactor.harmless
        for key in keys:
            if key not in line:
                continue
            value = line[key]
            if type(value) is not str:
                line[key] = redactor.clean(value)
            elif value not in harmless and not is_plain_path(value):
                line[key] = redactor.text(value)

    def _add(self, line: dict[str, Any], fields: Mapping[str, Any]) -> None:
        redactor = self._redactor
        harmless = redactor.harmless
        names = self._names
        for given, value in fields.items():
            try:
                key = names[given]
            except KeyError:
                self._put(line, given, value, fields)
                continue
            # The plain types are handled here: a call for each would cost as much as this loop.
            kind = type(value)
            if kind is str:
                line[key] = value if value in harmless else redactor.text(value)
            elif (
                kind is int or kind is bool or value is None or (kind is float and isfinite(value))
            ):
                line[key] = value
            else:
                line[key] = redactor.clean(value)

    def _add_context(self, line: dict[str, Any], bound: Mapping[str, Any] | None) -> None:
        """Add the fields of `bind()` and structlog, and static fields, if the line lacks them."""
        if bound:
            self._add_missing(line, dict(bound))
        variables = structlog_fields.variables if type(bound) is not BoundThen else {}
        if type(variables) is not dict:
            self._add_missing(line, structlog_fields.bound_fields())
        else:
            for name, variable in tuple(variables.items()):  # to which other threads may add
                value = variable.get(...)
                if value is not ...:
                    self._add_missing(line, {name.removeprefix(_PREFIX): value})
        for key, text in self._static:
            line.setdefault(key, text)

    def _add_missing(self, line: dict[str, Any], fields: Mapping[str, Any]) -> None:
        for given, value in fields.items():
            if self._name_of(given) not in line:
                self._put(line, given, value, fields)

    def _put(
        self, line: dict[str, Any], given: object, value: object, fields: Mapping[str, Any]
    ) -> None:
        key = self._name_of(given)
        shown = self._redactor.text(key)
        is_its_own = isinstance(given, str) and str.__eq__(given, shown)
        while shown in line or (shown in fields and not is_its_own):
            shown += "_"
        line[shown] = self._redactor.under(key, value, fields.items())
        if is_its_own and shown == key and not self._redactor.is_secret(key):
            make_room(self._names)
            self._names[given] = key

    def _name_of(self, given: object) -> str:
        """Return a field's name on the line; one that the schema reserves gets an underscore."""
        name = given if type(given) is str else described(given)
        return f"{name}_" if name in self._reserved else name
