"""Take over what prints already: the console handlers of all loggers, and the servers' loggers."""

from __future__ import annotations

import logging
import sys
import threading
from logging.handlers import MemoryHandler, QueueHandler, QueueListener
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
)
"""Loggers that servers give levels and handlers; they obey `log_level` and print through us."""

ACCESS = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access")
"""Access logs: dropped, as `request_finished` says more and leaves the query string out."""

QUIET = ("httpx", "httpcore", "httpx2", "httpcore2")
"""Clients that log every request at INFO; a level that the host gives them counts."""

_STANDARD_DESCRIPTORS = (1, 2)
_quieted: set[tuple[str, int]] = set()


def take_over(handler: ObsHandler, level: str) -> None:
    """Make ours the one handler that prints; may be repeated at any time.

    Args:
        handler: Our handler.
        level: The root logger's level.
    """
    root = logging.getLogger()
    for logger in _all_loggers():
        for other in list(logger.handlers):
            if other is not handler and _silence(other):
                logger.removeHandler(other)
                logger.propagate = True
        if logger.name.partition(".")[0] == "pantheon_obs":
            # A host's dictConfig disables the loggers that exist before it, ours among them.
            logger.disabled = False
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
    _quieten(max(root.level, logging.WARNING))


def _silence(handler: logging.Handler) -> bool:
    """Keep a handler from printing; whether it does nothing else, so that it can go."""
    if isinstance(handler, QueueHandler):
        listener = _listener_of(handler)
        behind = getattr(listener, "handlers", ())
        silent = tuple(other for other in behind if not prints(other))
        if len(silent) < len(behind):
            listener.handlers = silent
        return len(silent) == 0 < len(behind)
    if isinstance(handler, MemoryHandler) and handler.target is not None:
        return prints(handler.target)
    # One of ours that is not the handler belongs to an earlier set-up.
    return prints(handler) or type(handler).__module__ == "pantheon_obs.sinks.logs.handler"


def _listener_of(handler: QueueHandler) -> Any:  # noqa: ANN401 - a QueueListener, or what a framework has
    """What handles a queue's records: the handler's own since Python 3.12, else a thread's."""
    listener = getattr(handler, "listener", None)
    for thread in threading.enumerate():
        owner = getattr(getattr(thread, "_target", None), "__self__", None)
        if listener is None and isinstance(owner, QueueListener) and owner.queue is handler.queue:
            listener = owner
    return listener


def _quieten(level: int) -> None:
    for name in QUIET:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET or (name, logger.level) in _quieted:
            logger.setLevel(level)
            _quieted.add((name, level))


def prints(handler: logging.Handler) -> bool:
    """Whether a handler writes to standard output or standard error."""
    stream: Any = getattr(handler, "stream", None)
    if stream is None:  # rich's handler has a console
        stream = getattr(getattr(handler, "console", None), "file", None)
    if stream is None:
        return False
    if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        return True
    try:
        return bool(stream.fileno() in _STANDARD_DESCRIPTORS)
    except (AttributeError, OSError, ValueError):
        return False


def _all_loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger
