"""Recognise printing handlers by their behaviour, and keep their lines off the standard streams.

The methods of the standard streams are replaced by functions that listen, in the thread of a
watched handler only; other threads, and all other code of this thread, print as ever.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager, suppress
from threading import local
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.undoable import Patch
from pantheon_obs.products import ACCESS
from pantheon_obs.sinks.logs.entry import message_in
from pantheon_obs.sinks.logs.handler import known_loggers
from pantheon_obs.sinks.logs.odd import is_of_logging
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Heard = list[tuple[Callable[[Any], Any], Any]]

_STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")
_NAMES = 20
_words = re.compile("[A-Za-z0-9]+").findall

# Handlers that look for the caller of logging pass over the frames of its file, as the recipe in
# loguru's documentation does. So this function is one of that file.
_HANDLE = compile(
    "def handle(record):\n    with watching(record):\n        return given(record)",
    logging.__file__,
    "exec",
)

_hearing = local()
"""Its `heard` has the writes and their texts while a handler runs in this thread; else None."""

_tapped: dict[tuple[int, str], Patch] = {}
"""Ours in place of the methods of streams, by the stream's id and the method's name."""

_watched: WeakSet[logging.Handler] = WeakSet()


def may_print(handler: logging.Handler) -> bool:
    """Whether only its behaviour shows if a handler prints: it has its own `emit` or `handle`."""
    kind = type(handler)
    return not all(is_of_logging(getattr(kind, name, None)) for name in ("emit", "handle"))


def mute(handler: logging.Handler) -> None:
    """Keep the lines of a handler off the standard streams, from its first record on.

    A handler that writes nothing there with its first record is left alone from then on.
    """
    if handler in _watched:
        return
    made: dict[str, Any] = {"given": handler.handle, "watching": _Watching(handler)}
    exec(_HANDLE, made)  # noqa: S102 - the text above
    handler.handle = made["handle"]  # type: ignore[method-assign]
    _watched.add(handler)


class _Watching:
    """Listens while a handler handles a record, and judges the text that it has written."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = ref(handler)
        self._prints = False

    @contextmanager
    def __call__(self, record: logging.LogRecord) -> Iterator[None]:
        """Listen to one record's handling; drop its line, and write any other text."""
        for name in _STREAMS:
            _tap(getattr(sys, name))
        heard: Heard = []
        outer, _hearing.heard = getattr(_hearing, "heard", None), heard
        try:
            yield
        finally:
            _hearing.heard = outer
            text = "".join(described(part) for _, part in heard)
            is_line = bool(heard) and _is_line_of(record, text)
            if not is_line:
                for write, part in heard:
                    write(part)
        # A handler that has raised may have been about to print.
        handler = self._handler()
        if handler is None or self._prints:
            return
        if is_line:
            self._prints = True
            _reveal(handler)
        elif not heard:
            unmute(handler)


def _reveal(handler: logging.Handler) -> None:
    """Let the records of a silenced handler's loggers, this one too, reach our handler."""
    for logger in known_loggers():
        if handler in logger.handlers and logger.name not in ACCESS:
            logger.propagate = True


def unmute(handler: logging.Handler) -> None:
    """Restore a handler's own method; after the last handler also the streams, which are slow."""
    _watched.discard(handler)
    with suppress(KeyError):
        del handler.__dict__["handle"]
    if not _watched:
        _untap()


def reset() -> None:
    """Give all handlers and streams their own methods back."""
    for handler in tuple(_watched):
        unmute(handler)
    _untap()


def _untap() -> None:
    while _tapped:
        _tapped.popitem()[1].undo()


def _is_line_of(record: logging.LogRecord, text: str) -> bool:
    """Whether a text is the line of a record, in any format, and not a report of a failure."""
    if text.startswith("--- Logging error ---"):
        return False
    words = _words(message_in(record, {}))[:_NAMES]
    return 2 * sum(word in text for word in words) >= len(words)


def _tap(stream: Any) -> None:  # noqa: ANN401 - any stream
    """Put ours in place of a stream's methods, unless it is there or cannot be replaced."""
    buffer = getattr(stream, "buffer", None)
    for target, name, tap in (
        (stream, "write", _hear),
        (buffer, "write", _hear),
        (stream, "flush", _let_through),
    ):
        if type(getattr(target, "__dict__", None)) is dict and (id(target), name) not in _tapped:
            with suppress(AttributeError, ConfigError):
                ours = tap(getattr(target, name))
                _tapped[id(target), name] = Patch(target, name, ours)


# These functions bind all that they use: a stream may be used when the modules are gone.


def _hear(original: Callable[..., Any]) -> Callable[..., Any]:
    hearing, frame = _hearing, sys._getframe  # noqa: SLF001 - for each text

    def write(text: Any, *rest: Any) -> Any:  # noqa: ANN401 - as the stream takes it
        heard = getattr(hearing, "heard", None)
        # Ours is the line of another record, which the handler has logged.
        if heard is None or str(frame(1).f_globals.get("__name__")).startswith("pantheon_obs."):
            return original(text, *rest)
        heard.append((original, text))
        return len(text)

    return write


def _let_through(original: Callable[..., Any]) -> Callable[..., Any]:
    """Flush: the texts that it brings from the stream to its buffer were let through before."""
    hearing = _hearing

    def flush() -> None:
        heard, hearing.heard = getattr(hearing, "heard", None), None
        try:
            original()
        finally:
            hearing.heard = heard

    return flush
