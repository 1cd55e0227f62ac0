"""Take over what prints already: the console handlers of all loggers, and the servers' loggers."""

from __future__ import annotations

import logging
import sys
import threading
from logging.handlers import MemoryHandler, QueueHandler, QueueListener
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

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
    "werkzeug",
    "celery",
    "celery.task",
    "celery.redirected",
)
"""Loggers that servers give levels and handlers; they obey `log_level` and print through us."""

DJANGO = ("django", "django.server")
"""Django's loggers with levels of their own; its handler that mails errors to admins stays."""

ACCESS = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access")
"""Access logs: dropped, as `request_finished` says more and leaves the query string out."""

QUIET = ("httpx", "httpcore", "httpx2", "httpcore2")
"""Clients that log every request at INFO; a level that the host gives them counts."""

_STANDARD_DESCRIPTORS = (1, 2)
_quieted: set[tuple[str, int]] = set()
_silenced: WeakSet[logging.Handler] = WeakSet()


def take_over(handler: ObsHandler, level: str) -> None:
    """Make ours the one handler that prints; may be repeated at any time.

    Args:
        handler: Our handler.
        level: The root logger's level.
    """
    root = logging.getLogger()
    for logger in _all_loggers():
        if _strip(logger, handler):
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
        logger.addFilter(_take_over_late)
    for name in DJANGO:
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name in ACCESS:
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addFilter(_drop_late)
    _quieten(max(root.level, logging.WARNING))


def let_go() -> None:
    """Leave the servers' loggers alone from now on."""
    for name in SERVERS:
        logging.getLogger(name).removeFilter(_take_over_late)
    for name in ACCESS:
        logging.getLogger(name).removeFilter(_drop_late)


# hypercorn gives its loggers their handlers with its first line, after the app has started. A
# filter stays on a logger whatever else is set, and comes before the handlers.


def _take_over_late(record: logging.LogRecord) -> bool:
    """Take over a server's logger that has got a handler since."""
    logger = logging.getLogger(record.name)
    if not _strip(logger):
        return True
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    return logger.isEnabledFor(record.levelno)


def _drop_late(record: logging.LogRecord) -> bool:
    """Drop an access line, unless the host wants it in a file."""
    logger = logging.getLogger(record.name)
    _strip(logger)
    return logger.hasHandlers()


def _strip(logger: logging.Logger, ours: logging.Handler | None = None) -> bool:
    """Take a logger's handlers that print; whether it had any."""
    printing = [other for other in logger.handlers if other is not ours and _silence(other)]
    for other in printing:
        logger.removeHandler(other)
    return bool(printing)


def _silence(handler: logging.Handler) -> bool:
    """Keep a handler from printing; whether it does nothing else, so that it can go."""
    if handler in _silenced:  # it may be on several loggers, as Litestar's is
        return True
    if isinstance(handler, QueueHandler):
        listener = _listener_of(handler)
        behind = getattr(listener, "handlers", ())
        silent = tuple(other for other in behind if not prints(other))
        if len(silent) < len(behind):
            listener.handlers = silent
        if len(silent) == 0 < len(behind):
            _silenced.add(handler)
        return handler in _silenced
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
