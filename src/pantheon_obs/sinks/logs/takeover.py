"""Take over what prints already: the root logger's console handlers, and the servers' loggers."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.sinks.logs.handler import ObsHandler

SERVERS = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.asgi",
    "gunicorn",
    "gunicorn.error",
    "hypercorn.error",
    "_granian",
    "asyncio",
    "py.warnings",
    "pantheon_obs",
)
"""Loggers that obey `log_level` and print through us."""

ACCESS = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access")
"""Access logs: dropped, as `request_finished` says more and leaves the query string out."""

QUIET = ("httpx", "httpcore", "httpx2", "httpcore2")
"""Clients that log every request at INFO."""


def take_over(handler: ObsHandler, level: str) -> None:
    """Make ours the one handler that prints; may be repeated at any time.

    Args:
        handler: Our handler.
        level: The root logger's level.
    """
    root = logging.getLogger()
    for logger in _all_loggers():
        for other in list(logger.handlers):
            if other is not handler and prints(other):
                logger.removeHandler(other)
                logger.propagate = True
    if handler not in root.handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name in SERVERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        logger.disabled = False
    for name in ACCESS:
        logging.getLogger(name).propagate = False
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def prints(handler: logging.Handler) -> bool:
    """Whether a handler writes to standard output or standard error."""
    listener = getattr(handler, "listener", None)  # a queue handler prints where its listener does
    if listener is not None:
        return any(prints(behind) for behind in getattr(listener, "handlers", ()))
    stream: Any = getattr(handler, "stream", None)
    if stream is None:  # rich's handler has a console
        stream = getattr(getattr(handler, "console", None), "file", None)
    if stream is None:
        return type(handler).__module__ == "pantheon_obs.sinks.logs.handler"  # of an earlier set-up
    return any(
        stream is standard
        for standard in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        if standard is not None
    )


def _all_loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger
