"""Take over the console handlers of all loggers, and the loggers of servers.

`pantheon_obs.products` has the loggers of each product.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.undoable import Patch
from pantheon_obs.products import ACCESS, PRODUCTS
from pantheon_obs.sinks.logs import muting
from pantheon_obs.sinks.logs.handler import known_loggers
from pantheon_obs.sinks.logs.printing import handlers_behind, is_judged, prints, silence

if TYPE_CHECKING:
    from pantheon_obs.sinks.logs.handler import ObsHandler

LOGGERS = tuple(name for product in PRODUCTS for name in product.loggers)
_DEFAULTS = {
    name: product.default_level
    for product in PRODUCTS
    for name in (*product.loggers, *product.leveled)
}
_QUIET = tuple(name for product in PRODUCTS for name in product.quiet)
_WRITERS = tuple(writer for product in PRODUCTS for writer in product.writes)

_level = logging.INFO
_ours: ObsHandler | None = None
_quieted: set[tuple[str, int]] = set()
_silenced: dict[type, Patch] = {}  # ours in place of methods of servers


def take_over(ours: ObsHandler, level: int, *, anew: bool) -> bool:
    """Make our handler the only one that prints, at the root's level; may be repeated.

    A level that the root logger has got since counts, unless logging is configured `anew`.

    Returns:
        Whether other code has configured logging since.
    """
    global _level, _ours
    _level, _ours = level, ours
    root = logging.getLogger()
    taken = not stands(ours)
    if taken:
        ours.adopted.clear()
    enabled = _enable_again(ours, anew=anew)
    for logger in (root, *known_loggers()):
        if _strip(logger):
            logger.propagate = True
    if taken:
        root.addHandler(ours)
    if taken or anew:
        root.setLevel(level)
    for name, default in _DEFAULTS.items():
        _level_of_server(logging.getLogger(name), default)
    for name in LOGGERS:
        logging.getLogger(name).propagate = True
        logging.getLogger(name).addFilter(_take_over_late)
    for name in ACCESS:
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addFilter(_drop_late)
    for writer in _WRITERS:
        _silence_writer(*writer)
    _quieten(max(root.level, logging.WARNING))
    return taken or enabled


def notice(logger: logging.Logger) -> bool:
    """Take over the handlers that a logger has got since; return whether any others stay.

    They may print while other handlers replace ours on the root logger. The loggers of servers have
    filters for that, which also know their levels.
    """
    others = [other for other in logger.handlers if other is not _ours]
    is_server = logger.name in LOGGERS or logger.name in ACCESS
    if _ours and not is_server and not all(map(is_judged, others)) and stands(_ours):
        logger.propagate = _strip(logger) or logger.propagate
    return any(other is not _ours for other in logger.handlers)


def stands(ours: ObsHandler) -> bool:
    """Whether our handler is on the root logger; if only behind a queue, it is added there."""
    root = logging.getLogger()
    if ours in root.handlers:
        return True
    if any(ours in handlers_behind(other) for other in root.handlers):
        root.addHandler(ours)
        return True
    return False


def _enable_again(ours: ObsHandler, *, anew: bool) -> bool:
    """Enable the loggers that `dictConfig` or `fileConfig` has disabled because they existed."""
    off = [
        logger for logger in known_loggers() if logger.disabled and logger.name not in ours.disabled
    ]
    if not ours.closed_by:  # it may have done so before the library was set up
        off = [each for each in off if anew and each.name.partition(".")[0] == "pantheon_obs"]
    for logger in off:
        logger.disabled = False
    if ours.closed_by:
        ours.reopen()
    return bool(off)


def _level_of_server(logger: logging.Logger, default: int) -> None:
    """Let `log_level` govern a logger, unless the application has made it stricter."""
    if logger.level <= _level or logger.level == default:
        logger.setLevel(logging.NOTSET)


def _quieten(quiet: int) -> None:
    """Raise the level of loggers that log each request, unless they have one."""
    for name in _QUIET:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET or (name, logger.level) in _quieted:
            logger.setLevel(quiet)
            _quieted.add((name, quiet))


def let_go() -> None:
    """Leave the loggers of servers alone from now on."""
    global _level, _ours
    _level, _ours = logging.INFO, None
    muting.reset()
    for name in LOGGERS:
        logging.getLogger(name).removeFilter(_take_over_late)
    for name in ACCESS:
        logging.getLogger(name).removeFilter(_drop_late)
    while _silenced:
        _silenced.popitem()[1].undo()


# hypercorn gives its loggers their handlers with its first line, after the app has started. A
# filter stays on a logger whatever else is set, and comes before the handlers.


def _take_over_late(record: logging.LogRecord) -> bool:
    """Take over a server's logger that has got a handler since."""
    logger = logging.getLogger(record.name)
    if not _strip(logger):
        return True
    _level_of_server(logger, _DEFAULTS[record.name])
    logger.propagate = True
    return logger.isEnabledFor(record.levelno)


def _drop_late(record: logging.LogRecord) -> bool:
    """Drop an access line, unless the application has it written to a file."""
    logger = logging.getLogger(record.name)
    _strip(logger)
    return logger.hasHandlers()


def _strip(logger: logging.Logger) -> bool:
    """Remove the handlers of a logger that print; return whether there were any."""
    others = [other for other in logger.handlers if other is not _ours]
    printing = list(filter(silence, others))
    for other in printing:
        logger.removeHandler(other)
        if _ours is not None:
            _ours.adopt(logger, other)
    return bool(printing)


def _silence_writer(module: str, name: str, method: str) -> None:
    """Keep a server's own writer from printing; it may write to a file."""
    kind = getattr(sys.modules.get(module), name, None)
    if kind is None or kind in _silenced:
        return
    before = getattr(kind, method)

    def write(self: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the server's own
        if not prints(self):
            before(self, *arguments, **options)

    _silenced[kind] = Patch(kind, method, write)
