"""What nobody catches: the hooks of the interpreter, of threads and of warnings."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from types import TracebackType

_uncaught = logging.getLogger("pantheon_obs.uncaught")
_warnings = logging.getLogger("py.warnings")

_before: dict[str, Any] = {}


def install() -> None:
    """Log uncaught exceptions and warnings as lines; a second call changes nothing."""
    if _before:
        return
    _before.update(
        excepthook=sys.excepthook,
        threads=threading.excepthook,
        unraisable=sys.unraisablehook,
        showwarning=warnings.showwarning,
    )
    sys.excepthook = _main
    threading.excepthook = _thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warning


def uninstall() -> None:
    """Put back what stood there, where nobody has replaced ours since."""
    if not _before:
        return
    if sys.excepthook is _main:
        sys.excepthook = _before["excepthook"]
    if threading.excepthook is _thread:
        threading.excepthook = _before["threads"]
    if sys.unraisablehook is _unraisable:
        sys.unraisablehook = _before["unraisable"]
    if warnings.showwarning is _warning:
        warnings.showwarning = _before["showwarning"]
    _before.clear()


def _main(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _uncaught.critical("uncaught_exception", exc_info=(kind, error, traceback))
    _chain("excepthook", sys.__excepthook__, kind, error, traceback)


def _thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else None
    _uncaught.error(
        "uncaught_exception",
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        extra={"thread": name},
    )
    _chain("threads", threading.__excepthook__, args)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    error = args.exc_value
    _uncaught.error(
        args.err_msg or "Exception ignored in",
        exc_info=(args.exc_type, error, args.exc_traceback) if error is not None else None,
        extra={"object": repr(args.object)},
    )
    _chain("unraisable", sys.__unraisablehook__, args)


def _chain(name: str, default: object, *args: object) -> None:
    """Call the hook that stood there before, unless it is the one that prints."""
    before = _before.get(name)
    if before is not None and before is not default:
        before(*args)


def _warning(  # noqa: PLR0913 - the signature is that of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if file is not None:
        _before["showwarning"](message, category, filename, lineno, file, line)
        return
    _warnings.warning(
        str(message),
        extra={"category": category.__name__, "file": filename, "line": lineno},
    )
