"""Log uncaught exceptions and warnings, by the hooks of `sys`, `threading` and `warnings`.

In a command that does not serve an uncaught exception stays the traceback that its user expects.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any, TextIO

from pantheon_obs.core.failures import is_logged
from pantheon_obs.core.stack import is_below
from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.logs.superseded import has_event
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_uncaught = logging.getLogger("pantheon_obs.uncaught")
_warnings = logging.getLogger("py.warnings")

_PRINTING_SERVERS = tuple(product.name for product in PRODUCTS if product.prints_by_hook)

_before: dict[object, Any] = {}
"""The hooks that ours have replaced."""

is_on = False
"""Whether our hooks log. Where another hook has replaced ours and calls it, ours stays when off."""

in_command = False
"""Whether this process runs a command that does not serve."""


def install() -> None:
    """Log uncaught exceptions and warnings as lines; a second call changes nothing."""
    global is_on  # noqa: PLW0603 - the hooks belong to the process
    if is_on:
        return
    is_on = True
    for module, name, hook in _HOOKS:
        there = getattr(module, name)
        if _before.get(hook, there) is there:
            _before[hook] = there
            setattr(module, name, hook)


def uninstall() -> None:
    """Restore the earlier hooks, unless ours were replaced since."""
    global is_on  # noqa: PLW0603 - as above
    is_on = False
    for module, name, hook in _HOOKS:
        if getattr(module, name) in (hook, _before.get(hook)):
            setattr(module, name, _before.pop(hook))


def _logs() -> bool:
    return is_on and not in_command


def comes_from_command() -> bool:
    """Whether this call comes from a command that does not serve, as `flask routes`.

    Its output is for its user, or for a pipe: log lines do not belong there.
    """
    return any(
        is_below(product.command_line)
        and not (product.serving_command and is_below(product.serving_command))
        for product in PRODUCTS
        if product.command_line
    )


def _main(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if _logs() and not _repeats_event(error, traceback):
        _log(logging.CRITICAL, error, where="main")
    _chain(_main, sys.__excepthook__, kind, error, traceback)


def _repeats_event(error: BaseException, traceback: TracebackType | None) -> bool:
    """Whether a server in C reports an exception of a request whose event says it already.

    The server's own exception, for a client that has left, has no traceback.
    """
    return (traceback is None or has_event(error)) and any(
        map(sys.modules.__contains__, _PRINTING_SERVERS)
    )


def _thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit and _logs():  # as the default hook does
        name = args.thread.name if args.thread is not None else None
        _log(logging.ERROR, args.exc_value, where="thread", thread_name=name)
    _chain(_thread, threading.__excepthook__, args)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if _logs():
        # The object's text only: a record that refers to the object would revive it.
        _log(
            logging.ERROR,
            args.exc_value,
            where="unraisable",
            reason=args.err_msg or "Exception ignored in",
            object=described(args.object, repr),
        )
    _chain(_unraisable, sys.__unraisablehook__, args)


def _log(level: int, error: BaseException | None, **fields: object) -> None:
    exc_info = None
    if is_logged(error):  # by the application, before it raised it again
        fields["error_type"] = type(error).__name__
    elif error is not None:
        exc_info = (type(error), error, error.__traceback__)
    _uncaught.log(level, "uncaught_exception", exc_info=exc_info, extra=fields)


def _chain(hook: object, default: Callable[..., object], *args: object) -> None:
    """Call the hook that ours has replaced, unless it is Python's own: our line has its traceback.

    An application's hook may print anything.
    """
    before = _before.get(hook, default)
    if not _logs():
        before(*args)
    elif before is not default:
        _without(default, before)(*args)


def _without(default: object, hook: Any) -> Any:  # noqa: ANN401 - any function
    """Return a hook that does not go on to Python's own, if it would: Sentry's keeps it in a cell.

    Other ways to keep the traceback from being printed twice would take other threads' output, too.
    """
    cells = getattr(hook, "__closure__", None) or ()
    if all(_content(cell) is not default for cell in cells):
        return hook
    kept = tuple(CellType(_ignore) if _content(cell) is default else cell for cell in cells)
    return FunctionType(hook.__code__, hook.__globals__, hook.__name__, hook.__defaults__, kept)


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _ignore(*_: object) -> None:
    """Stand for Python's own hook, without any effect."""


def _warning(  # noqa: PLR0913, PLR0917 - the signature is that of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if file is not None or not is_on:
        _before.get(_warning, _ignore)(message, category, filename, lineno, file, line)
        return
    _warnings.warning(
        described(message),
        extra={"category": category.__name__, "file": filename, "line": lineno},
    )


_HOOKS = (
    (sys, "excepthook", _main),
    (threading, "excepthook", _thread),
    (sys, "unraisablehook", _unraisable),
    (warnings, "showwarning", _warning),
)
