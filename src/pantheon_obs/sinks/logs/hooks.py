"""What nobody catches: the hooks of the interpreter, of threads and of warnings."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any, TextIO

from pantheon_obs.core.failures import is_logged
from pantheon_obs.sinks.redact_plain import described

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
        main=sys.excepthook,
        thread=threading.excepthook,
        unraisable=sys.unraisablehook,
        warning=warnings.showwarning,
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
        sys.excepthook = _before["main"]
    if threading.excepthook is _thread:
        threading.excepthook = _before["thread"]
    if sys.unraisablehook is _unraisable:
        sys.unraisablehook = _before["unraisable"]
    if warnings.showwarning is _warning:
        warnings.showwarning = _before["warning"]
    _before.clear()


def _main(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _log(logging.CRITICAL, error, where="main")
    _chain("main", sys.__excepthook__, kind, error, traceback)


def _thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:  # as the default hook does
        name = args.thread.name if args.thread is not None else None
        _log(logging.ERROR, args.exc_value, where="thread", thread_name=name)
    _chain("thread", threading.__excepthook__, args)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    # The text of the object, as a record that holds on to the object itself would revive it.
    _log(
        logging.ERROR,
        args.exc_value,
        where="unraisable",
        reason=args.err_msg or "Exception ignored in",
        object=described(args.object, repr),
    )
    _chain("unraisable", sys.__unraisablehook__, args)


def _log(level: int, error: BaseException | None, **fields: object) -> None:
    exc_info = None
    if is_logged(error):  # by the host, before it raised it again
        fields["error_type"] = type(error).__name__
    elif error is not None:
        exc_info = (type(error), error, error.__traceback__)
    _uncaught.log(level, "uncaught_exception", exc_info=exc_info, extra=fields)


def _chain(name: str, default: object, *args: object) -> None:
    """Call the hook that stood there before, unless it is the one that prints.

    Such hooks (Sentry's) mostly call in turn what stood before them, which prints the traceback
    that our line has already: that goes nowhere.
    """
    before = _before.get(name)
    if before is not None and before is not default:
        with redirect_stderr(io.StringIO()):
            before(*args)


def _warning(  # noqa: PLR0913, PLR0917 - the signature is that of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if file is not None:
        _before["warning"](message, category, filename, lineno, file, line)
        return
    _warnings.warning(
        described(message),
        extra={"category": category.__name__, "file": filename, "line": lineno},
    )
