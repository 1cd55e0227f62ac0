"""Start and stop writing; the recorder is imported only if the settings ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.sinks.logs import delivery
from pantheon_obs.sinks.logs.emitter import Emitter
from pantheon_obs.sinks.logs.handler import LogSink

if TYPE_CHECKING:
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.handler import ObsHandler

_recorder: Any = None


def start(handler: ObsHandler, settings: Settings) -> None:
    """Write records and facts through a handler; keep lines aside if the settings ask for it."""
    global _recorder  # noqa: PLW0603 - logging is one per process
    stop()
    if not settings.debug_on_error and settings.keep_rate >= 1:
        handler.emitter = Emitter(settings)
        pipeline.add_sink(LogSink(handler))
        return
    from pantheon_obs.sinks.logs.recorder import Recorder, RecordingSink  # noqa: PLC0415 - see above

    _recorder = handler.emitter = Recorder(settings)
    pipeline.before_end(_recorder.decide)
    delivery.call_at_end(_recorder.flush)
    pipeline.add_sink(RecordingSink(handler, _recorder))


def stop() -> None:
    """Write the lines that are kept aside, and keep no line aside from now on."""
    global _recorder  # noqa: PLW0603 - as above
    if _recorder is not None:
        from pantheon_obs.sinks.logs import below_level  # noqa: PLC0415 - as above

        below_level.uninstall()
        pipeline.no_more_before_end(_recorder.decide)
        delivery.call_no_more(_recorder.flush)
        _recorder.flush()
        _recorder = None
