"""Start and stop the recorder, which is imported only if the settings ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.sinks.logs import delivery
from pantheon_obs.sinks.logs.emitter import Emitter
from pantheon_obs.sinks.logs.handler import LogSink

if TYPE_CHECKING:
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.handler import ObsHandler

_running: Any = None  # the recorder


def emitter_for(settings: Settings) -> Emitter:
    """Make the emitter that the settings ask for: only where lines are kept aside a recorder."""
    if not settings.debug_on_error and settings.keep_rate >= 1:
        return Emitter(settings)
    from pantheon_obs.sinks.logs.recorder import Recorder  # noqa: PLC0415 - only if asked for

    return Recorder(settings)


def sink_for(handler: ObsHandler) -> LogSink:
    """Make the sink that belongs to the handler's emitter, and start recording if it records."""
    global _running  # noqa: PLW0603 - logging is one per process
    emitter: Any = handler.emitter
    if type(emitter) is Emitter:
        return LogSink(handler)
    from pantheon_obs.sinks.logs.recorder import RecordingSink  # noqa: PLC0415 - as above

    _running = emitter
    pipeline.before_end(emitter.decide)
    delivery.call_at_end(emitter.flush)
    return RecordingSink(handler, emitter)


def stop() -> None:
    """Write the lines that are kept aside, and keep no line aside from now on."""
    global _running  # noqa: PLW0603 - as above
    if _running is not None:
        from pantheon_obs.sinks.logs import below_level  # noqa: PLC0415 - as above

        below_level.uninstall()
        pipeline.no_more_before_end(_running.decide)
        delivery.call_no_more(_running.flush)
        _running.flush()
        _running = None
