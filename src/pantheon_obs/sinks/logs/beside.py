"""Write our own events as lines, beside logging that the application sets up and keeps."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.parsing import level_number
from pantheon_obs.sinks.logs import writing
from pantheon_obs.sinks.logs.handler import LogSink, ObsHandler, disabled_loggers

if TYPE_CHECKING:
    from pantheon_obs.core.settings import Settings

_LOGGER = "pantheon_obs"

handler: ObsHandler | None = None
"""Writes the lines; None where this is not in use."""


def write(settings: Settings) -> None:
    """Write the records of this library's loggers as lines on standard output, and no others.

    They do not go on to the application's handlers, which would print them a second time.
    """
    global handler  # noqa: PLW0603 - logging is one per process
    stop()
    stream = "stdout" if settings.log_stream == "auto" else settings.log_stream
    made = ObsHandler()
    writing.start(made, replace(settings, log_stream=stream))
    handler = made
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(level_number(settings.log_level))
    for name in disabled_loggers():  # as `dictConfig` does with all that it does not name
        if name.partition(".")[0] == _LOGGER:
            logging.getLogger(name).disabled = False


def stop() -> None:
    """Leave the logger as it was: the library configures all of logging, or a test is over."""
    global handler  # noqa: PLW0603 - as above
    if handler is None:
        return
    writing.stop()
    logger = logging.getLogger(_LOGGER)
    logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    pipeline.remove_sink(LogSink.name)
    handler = None
