"""Take over the console handlers of all loggers, and the loggers of servers.

`pantheon_obs.products` has the loggers of each product.
"""

from __future__ import annotations

import logging
import sys
import threading
from logging.handlers import MemoryHandler, QueueHandler, QueueListener
from typing import Any
from weakref import WeakSet

from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.logs.handler import ObsHandler

LOGGERS = tuple(name for product in PRODUCTS for name in product.loggers)
ACCESS = tuple(name for product in PRODUCTS for name in product.access)
_LEVELED = tuple(name for product in PRODUCTS for name in product.leveled)
_QUIET = tuple(name for product in PRODUCTS for name in product.quiet)

_WRITERS = tuple(writer for product in PRODUCTS for writer in product.writes)

_STANDARD_DESCRIPTORS = (1, 2)
_quieted: set[tuple[str, int]] = set()
_written: list[tuple[type, str, Any]] = []  # the methods of servers that ours stand in for
_silenced: WeakSet[logging.Handler] = WeakSet()


def take_over(handler: ObsHandler, level: str) -> None:
    """Make our handler the only one that prints, at the root's level; may be repeated."""
    root = logging.getLogger()
    known = list(logging.Logger.manager.loggerDict.values())
    for logger in (root, *(each for each in known if isinstance(each, logging.Logger))):
        if _strip(logger, handler):
            logger.propagate = True
        if logger.name.partition(".")[0] == "pantheon_obs":
            # dictConfig disables the loggers that exist before it, ours among them.
            logger.disabled = False
    if handler not in root.handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        logger.disabled = False
        logger.addFilter(_take_over_late)
    for name in _LEVELED:
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name in ACCESS:
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addFilter(_drop_late)
    for writer in _WRITERS:
        _silence_writer(*writer)
    _quieten(max(root.level, logging.WARNING))


def _quieten(quiet: int) -> None:
    """Raise the level of loggers that log each request, where nobody has set one."""
    for name in _QUIET:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET or (name, logger.level) in _quieted:
            logger.setLevel(quiet)
            _quieted.add((name, quiet))


def let_go() -> None:
    """Leave the loggers of servers alone from now on."""
    for name in LOGGERS:
        logging.getLogger(name).removeFilter(_take_over_late)
    for name in ACCESS:
        logging.getLogger(name).removeFilter(_drop_late)
    while _written:
        kind, name, before = _written.pop()
        setattr(kind, name, before)


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
    """Drop an access line, unless the application has it written to a file."""
    logger = logging.getLogger(record.name)
    _strip(logger)
    return logger.hasHandlers()


def _strip(logger: logging.Logger, ours: logging.Handler | None = None) -> bool:
    """Remove the handlers of a logger that print; return whether there were any."""
    printing = [other for other in logger.handlers if other is not ours and _silence(other)]
    for other in printing:
        logger.removeHandler(other)
    return bool(printing)


def _silence(handler: logging.Handler) -> bool:
    """Keep a handler from printing; return whether it does nothing else and can be removed."""
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
    # Another handler of ours belongs to an earlier set-up.
    return prints(handler) or isinstance(handler, ObsHandler)


def _silence_writer(module: str, name: str, method: str) -> None:
    """Keep a server's own writer from printing; it may write to a file."""
    kind = getattr(sys.modules.get(module), name, None)
    if kind is None or any(known is kind for known, *_ in _written):
        return
    before = getattr(kind, method)

    def write(self: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the server's own
        if not prints(self):
            before(self, *arguments, **options)

    _written.append((kind, method, before))
    setattr(kind, method, write)


def _listener_of(handler: QueueHandler) -> Any:  # noqa: ANN401 - a QueueListener, or what a framework has
    """Find the listener of a queue: the handler's own since Python 3.12, else a thread's."""
    listener = getattr(handler, "listener", None)
    for thread in threading.enumerate():
        owner = getattr(getattr(thread, "_target", None), "__self__", None)
        if listener is None and isinstance(owner, QueueListener) and owner.queue is handler.queue:
            listener = owner
    return listener


def prints(handler: Any) -> bool:  # noqa: ANN401 - a handler, or another object with a stream
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
