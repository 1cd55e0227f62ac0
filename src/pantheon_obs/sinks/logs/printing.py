"""Recognise handlers that print, and silence them."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.logs import muting
from pantheon_obs.sinks.logs.handler import ObsHandler

if TYPE_CHECKING:
    import logging

_STANDARD_DESCRIPTORS = (1, 2)
_STANDARD_FILES = frozenset(
    path.format(name=name, number=number)
    for name, number in (("stdout", 1), ("stderr", 2))
    for path in ("/dev/{name}", "/dev/fd/{number}", "/proc/self/fd/{number}")
)
_JUDGED = "_pantheon_obs"
_PRINTERS = frozenset(name for product in PRODUCTS for name in product.prints)

_silenced: WeakSet[logging.Handler] = WeakSet()


def is_judged(handler: logging.Handler) -> bool:
    """Whether `silence` has seen a handler before."""
    return _JUDGED in getattr(handler, "__dict__", {})


def silence(handler: logging.Handler) -> bool:
    """Keep a handler from printing; return whether it does nothing else and can be removed.

    A handler with its own `emit` is judged at its first record.
    """
    if handler in _silenced:  # it may be on several loggers, as Litestar's is
        return True
    vars(handler)[_JUDGED] = True
    if isinstance(handler, _class_of("QueueHandler")):
        return _silence_listener(handler)
    is_memory = isinstance(handler, _class_of("MemoryHandler"))
    target = getattr(handler, "target", None) if is_memory else None
    if target is not None:
        return prints(target)
    # Another handler of ours belongs to an earlier set-up.
    if prints(handler) or isinstance(handler, ObsHandler):
        return True
    stream: object = getattr(handler, "stream", None)
    if muting.may_print(handler) if stream is None else type(stream).__module__ != "_io":
        muting.mute(handler)  # a stream that is no file may be a tee
    return False


def _class_of(name: str) -> Any:  # noqa: ANN401 - a class, or none
    """Return a class of `logging.handlers`; nothing has one unless that is loaded."""
    return getattr(sys.modules.get("logging.handlers"), name, ())


def _silence_listener(handler: logging.Handler) -> bool:
    """Remove the handlers behind a queue that print; return whether there are no others."""
    listener = _listener_of(handler)
    behind = handlers_behind(handler)
    silent = tuple(o for o in behind if not (prints(o) or isinstance(o, ObsHandler)))
    if len(silent) < len(behind):
        listener.handlers = silent
    if len(silent) == 0 < len(behind):
        _silenced.add(handler)
    return handler in _silenced


def handlers_behind(handler: logging.Handler) -> tuple[logging.Handler, ...]:
    """List the handlers that get the records of a `QueueHandler` in this process."""
    if not isinstance(handler, _class_of("QueueHandler")):
        return ()
    return tuple(getattr(_listener_of(handler), "handlers", ()))


def _listener_of(handler: Any) -> Any:  # noqa: ANN401 - a QueueListener, or a framework's listener
    """Find the listener of a queue: the handler's own since Python 3.12, else a thread's."""
    listener = getattr(handler, "listener", None)
    kind = _class_of("QueueListener")
    for thread in threading.enumerate():
        owner: Any = getattr(getattr(thread, "_target", None), "__self__", None)
        if listener is None and isinstance(owner, kind) and owner.queue is handler.queue:
            listener = owner
    return listener


def prints(handler: Any) -> bool:  # noqa: ANN401 - a handler, or another object with a stream
    """Whether a handler writes to standard output or standard error."""
    kind = type(handler)
    if f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}" in _PRINTERS:
        return True
    if getattr(handler, "baseFilename", None) in _STANDARD_FILES:  # perhaps not open yet
        return True
    stream: Any = getattr(handler, "stream", None)
    if stream is None:  # rich's handler has a console
        stream = getattr(getattr(handler, "console", None), "file", None)
    # A file that happens to be the same stays the application's.
    return stream is not None and is_standard(stream, or_copy=not hasattr(handler, "baseFilename"))


def is_standard(stream: Any, *, or_copy: bool = False) -> bool:  # noqa: ANN401 - any object
    """Whether a stream writes to standard output or standard error, or to a copy by `os.dup`."""
    for standard in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is standard or stream is getattr(standard, "buffer", standard):
            return True
    return any(_is_open_on(stream, number, or_copy) for number in _STANDARD_DESCRIPTORS)


def _is_open_on(stream: Any, number: int, or_copy: bool) -> bool:  # noqa: ANN401, FBT001 - any object
    try:
        descriptor = stream.fileno()
        return bool(descriptor == number or (or_copy and os.path.sameopenfile(descriptor, number)))
    except (AttributeError, OSError, TypeError, ValueError):
        return False
