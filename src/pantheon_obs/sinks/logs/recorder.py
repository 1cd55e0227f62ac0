"""Keep lines aside until their request or task has ended, and write or drop them then.

`debug_on_error` keeps the lines below `log_level`, and `keep_rate` those below WARNING. All lines
pass an emitter, so the recorder is one.
"""

from __future__ import annotations

import time
from contextvars import Context
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from logging import ERROR, WARNING, LogRecord
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.events import TaskFinished, WebsocketFinished
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.parsing import level_number
from pantheon_obs.sinks.logs import odd
from pantheon_obs.sinks.logs.buffer import (
    Recording,
    recording_here,
    recording_of,
    take_all,
    text_size,
)
from pantheon_obs.sinks.logs.emitter import Emitter
from pantheon_obs.sinks.logs.entry import Entry, FactEntry, entry_from
from pantheon_obs.sinks.logs.handler import LogSink

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Ended, Event
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.buffer import BufferedLine
    from pantheon_obs.sinks.logs.emitter import Writer
    from pantheon_obs.sinks.logs.handler import ObsHandler

_guard = Guard("recorder")
_RECORDED: Final = {"recorded": True}
_ATTRIBUTES = len(vars(LogRecord("", 0, "", 0, "", (), None)))  # attributes of a record
_WHOLE = 1 << 64


class Recorder(Emitter):
    """Writes lines, or keeps them aside.

    Attributes:
        level: The level below which lines are written for failed and slow requests only.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.level = level_number(settings.log_level) if settings.debug_on_error else 0
        self._rate = settings.keep_rate
        self._slow_ms = settings.slow_ms
        self._limit_level = self.level if self._rate == 1 else max(self.level, WARNING)

    def emit(self, entry: Entry | Event, write: Writer | None = None) -> None:
        """Write one line, or keep it aside; each line that is logged comes here.

        Events of this library are never kept aside, but the rate may leave out a request's.
        """
        if not isinstance(entry, Entry) or isinstance(entry, FactEntry):
            fact = entry.fact if isinstance(entry, FactEntry) else entry
            if not getattr(fact, "unwritten", False):
                super().emit(entry)
            return
        if entry.level >= self._limit_level or write is not None:
            super().emit(entry, write)
            return
        recording = recording_here()
        if recording is not None:
            if recording.over:
                if entry.level < self.level or not (recording.kept or recording.rated):
                    return
                if recording.rated:
                    entry = _marked(entry, {"keep_rate": self._rate})
            elif not recording.kept:
                self._buffer_entry(recording, entry)
                return
        super().emit(entry)

    def _buffer_entry(self, recording: Recording, entry: Entry) -> None:
        if entry.created is None:
            entry.created = time.time()
        text = len(entry.event)
        for value in entry.fields.values():
            text += text_size(value)
        recording.buffer(entry, text)

    def buffer_record(self, recording: Recording, record: LogRecord) -> None:
        """Keep a record aside as it is: its message is built only if it is written."""
        text, args = len(record.msg), record.args
        for value in args if type(args) is tuple else (args,):
            text += text_size(value)
        attributes = record.__dict__
        if len(attributes) > _ATTRIBUTES:
            for value in islice(attributes.values(), _ATTRIBUTES, None):
                text += text_size(value)
        recording.buffer(record, text)

    def started(self, trace: Trace) -> None:
        """Begin to keep lines of a request or task aside."""
        trace.recording = Recording(trace, self._write_all)

    def decide(self, trace: Trace, event: Ended) -> None:
        """Decide at the end of a request or task whether its lines are written."""
        recording = recording_of(trace)
        if recording is None:
            return
        # The server cancels requests when it stops: their lines are written.
        is_cut = getattr(event, "outcome", None) == "cancelled"
        if event.level >= ERROR or is_cut or self._is_slow(event):
            recording.kept = True
        extra: dict[str, Any] = {}
        if recording.kept:
            self._write_all(recording)
        elif self._rate < 1:
            recording.rated = _is_chosen(trace.trace_id, self._rate)
            if _follows_rate(event):
                event.unwritten = not recording.rated
                if recording.rated:
                    extra["keep_rate"] = self._rate
        recording.over = True
        lines = recording.take()
        if recording.rated:
            self._write_buffered(lines, {"recorded": True, "keep_rate": self._rate})
        if recording.dropped and (recording.kept or recording.rated):
            extra["lines_not_recorded"] = recording.dropped
        if extra:
            event.extra = {**(event.extra or {}), **extra}

    def _is_slow(self, event: Ended) -> bool:
        """Whether a request or task has taken too long; a websocket stays open as it likes."""
        if not self._slow_ms or event.quiet or isinstance(event, WebsocketFinished):
            return False
        return (event.latency_ms or 0) >= self._slow_ms

    def ended(self, trace: Trace) -> None:
        """Write the lines that are kept aside for a trace that has ended without an event."""
        recording = recording_of(trace)
        if recording is not None and not recording.over:
            recording.over = recording.kept = True
            self._write_all(recording)

    def flush(self) -> None:
        """Write all that is kept aside in this process."""
        self._write_buffered(take_all(), _RECORDED, all_levels=True)

    def _write_all(self, recording: Recording) -> None:
        self._write_buffered(recording.take(), _RECORDED, all_levels=True)

    def _write_buffered(
        self, lines: list[BufferedLine], marks: Mapping[str, Any], *, all_levels: bool = False
    ) -> None:
        for buffered in lines:
            with _guard:  # the other lines are still to be written
                entry = buffered.line
                if not isinstance(entry, Entry):
                    entry = entry_from(entry, odd.error_in(entry.exc_info))
                if all_levels or entry.level >= self.level:
                    entry.trace_id = entry.trace_id or buffered.recording.trace_id
                    if entry.bound is None:
                        entry.bound = buffered.bound
                    # Not in this context, which may have fields of its own.
                    Context().run(super().emit, _marked(entry, marks))


class RecordingSink(LogSink):
    """Writes facts, and notifies a recorder when requests and tasks begin and end."""

    def __init__(self, handler: ObsHandler, recorder: Recorder) -> None:
        super().__init__(handler)
        self.started = recorder.started
        self.ended = recorder.ended


def _marked(entry: Entry, marks: Mapping[str, Any]) -> Entry:
    """Copy an entry with fields of ours; one of the application's of that name is renamed."""
    fields = {f"{key}_" if key in marks else key: value for key, value in entry.fields.items()}
    return replace(entry, fields={**fields, **marks})


def _is_chosen(trace_id: str, rate: float) -> bool:
    """Whether the rate keeps this trace: the same answer in every service and language."""
    digest = sha256(trace_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / _WHOLE < rate


def _follows_rate(event: Ended) -> bool:
    """Whether the rate decides about the line of an event; tokens and cost are always written."""
    return event.level < WARNING and not (isinstance(event, TaskFinished) and event.llm is not None)
