"""Start and stop the recorder, if the settings ask for one; the sink whose facts it judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.sinks.logs import below_level, delivery
from pantheon_obs.sinks.logs.emitter import Emitter
from pantheon_obs.sinks.logs.handler import LogSink
from pantheon_obs.sinks.logs.recorder import Fact, Recorder, Unwritten

if TYPE_CHECKING:
    from pantheon_obs.core.events import Event
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.handler import ObsHandler

_running: Recorder | None = None


def emitter_for(settings: Settings) -> Emitter:
    """Make the emitter that the settings ask for: only where lines are kept aside a recorder."""
    is_on = settings.debug_on_error or settings.keep_rate < 1
    return Recorder(settings) if is_on else Emitter(settings)


def sink_for(handler: ObsHandler) -> LogSink:
    """Make the sink that belongs to the handler's emitter, and start recording if it records."""
    global _running  # noqa: PLW0603 - logging is one per process
    emitter = handler.emitter
    if not isinstance(emitter, Recorder):
        return LogSink(handler)
    _running = emitter
    pipeline.before_end(emitter.decide)
    delivery.call_at_end(emitter.flush)
    return _RecordingSink(handler, emitter)


def stop() -> None:
    """Write what is kept aside, and keep nothing aside from now on."""
    global _running  # noqa: PLW0603 - as above
    if _running is not None:
        below_level.uninstall()
        pipeline.no_more_before_end(_running.decide)
        delivery.call_no_more(_running.flush)
        _running.flush()
        _running = None


class _RecordingSink(LogSink):
    """Writes facts, unless the rate has decided that a request's is left out."""

    make_entry = Fact

    def __init__(self, handler: ObsHandler, recorder: Recorder) -> None:
        super().__init__(handler)
        self.started = recorder.started
        self.ended = recorder.ended
        self._left_out = LogSink(handler)
        self._left_out.make_entry = Unwritten
        self._left_out.write = lambda _event, _level: None

    def handle(self, event: Event) -> None:
        """Write one fact."""
        if getattr(event, "unwritten", False):
            self._left_out.handle(event)
        else:
            super().handle(event)
