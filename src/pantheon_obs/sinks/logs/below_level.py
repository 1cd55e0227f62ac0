"""Send lines below `log_level` to the recorder, and to nobody else, while a request or task runs.

The root logger keeps its level. A logger that nobody has given a level answers that such a line is
enabled, and its filter sends the record to the recorder: no other handler sees it.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.core.structured import handle, in_flight
from pantheon_obs.products import LIBRARIES, PRODUCTS
from pantheon_obs.sinks.logs.buffer import recording_here
from pantheon_obs.sinks.logs.passed_on import is_passed_on

if TYPE_CHECKING:
    from types import FrameType

    from pantheon_obs.sinks.logs.buffer import Recording
    from pantheon_obs.sinks.logs.handler import ObsHandler

_Logger = logging.Logger
_native = _Logger.isEnabledFor
_LOGGING = (_Logger._log.__code__, handle.__code__)  # noqa: SLF001 - the functions that make records
_NEAR = 6  # frames: a logger's own class may have methods between
_TAKES_PART = "takes part in the recorder"
_manager: Any = _Logger.manager

# Their loggers take part only if the application gives them a level.
_OTHERS = LIBRARIES.union(
    name.partition(".")[0]
    for row in PRODUCTS
    for name in (row.name, *row.loggers, *row.leveled, *row.access, *row.quiet)
)

_handler: Any = None
"""Our handler, whose emitter is the recorder; None while there is no recorder."""

_level = 0
_filter_before: Any = None


def install(handler: ObsHandler) -> None:
    """Send the lines below a recorder's level to it; the recorder is the handler's emitter."""
    global _handler, _level, _filter_before  # noqa: PLW0603 - logging is one per process
    _handler = handler
    _level, _filter_before = _handler.emitter.level, _Logger.filter
    _Logger.isEnabledFor = _is_enabled_for  # type: ignore[method-assign]
    _Logger.filter = _filter  # type: ignore[assignment,method-assign]


def uninstall() -> None:
    """Leave loggers alone."""
    global _handler, _level, _filter_before
    if _handler is not None:
        _Logger.isEnabledFor = _native  # type: ignore[method-assign]
        _Logger.filter = _filter_before  # type: ignore[method-assign]
        _handler, _level, _filter_before = None, 0, None


def _is_enabled_for(self: logging.Logger, level: int) -> bool:
    """Whether a line is logged, or is kept aside."""
    known: Any = self._cache  # type: ignore[attr-defined]
    if known.get(level) is not False and _native(self, level):  # whose answers it has
        return True
    if not logging.DEBUG <= level < _level or self.disabled or _manager._disable >= level:  # noqa: SLF001 - its property is slower
        return False
    recording = recording_here()
    if recording is None or recording.over:
        return False
    found: bool | None = known.get(_TAKES_PART)
    if found is None:
        found = known[_TAKES_PART] = _takes_part(self)
    return found


def _takes_part(logger: logging.Logger) -> bool:
    """Whether a logger has its level from the root logger, and its lines reach our handler."""
    if logger.name.partition(".")[0] in _OTHERS:
        return False
    while logger.parent is not None:
        if logger.level or not logger.propagate:
            return False
        logger = logger.parent
    return _handler in logger.handlers


def _filter(self: logging.Logger, record: logging.LogRecord) -> Any:  # noqa: ANN401 - as the filters answer
    """Run a logger's filters; a record that is enabled for the recorder alone goes to it."""
    level = getattr(record, "levelno", None)
    known: Any = self._cache  # type: ignore[attr-defined]
    is_below = (
        type(level) is int
        and logging.DEBUG <= level < _level
        and (known.get(level) is False or not _native(self, level))
    )
    # A record that somebody hands to the logger is for all handlers, whatever its level.
    recording = recording_here() if is_below and _is_logged_here() else None
    if recording is None or recording.over:
        return _filter_before(self, record)
    try:
        _send(self, record, recording)
    except Exception as error:  # noqa: BLE001 - nobody would have seen this record
        report("recorder", error)
    return False


def _is_logged_here() -> bool:
    """Whether the record comes from a call that logs, which has asked if it is enabled."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - as logging does
    for _ in range(_NEAR):
        if frame is None or frame.f_code in _LOGGING:
            return frame is not None
        frame = frame.f_back
    return False


def _send(logger: logging.Logger, record: logging.LogRecord, recording: Recording) -> None:
    handler = _handler
    if logger.filters or handler.filters:
        for filterer in (logger, handler):
            passed: Any = logging.Filterer.filter(filterer, record)
            if not passed:
                return
            record = passed if isinstance(passed, logging.LogRecord) else record
    is_event = id(record) in in_flight or is_passed_on(record)
    if not recording.kept and type(record.msg) is str and not is_event:
        handler.emitter.buffer_record(recording, record)
    else:
        handler.emit(record)
