"""Report mistakes of the set-up, with one WARNING for each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakSet, finalize

from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.guard import Guard, own_lines
from pantheon_obs.core.runtime import on_fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

_UNUSED = "instrument() has wrapped the application: serve its result, app = instrument(app)"

_log = logging.getLogger("pantheon_obs")
_log_settings = logging.getLogger("pantheon_obs.settings")
_guard = Guard("wrapper_unused")
_uses: WeakSet[Use] = WeakSet()
_warned: set[str] = set()


def warn_of_problems(settings: Settings) -> None:
    """Log one WARNING for each bad value or name in the environment, once in each process."""
    for problem in settings.problems:
        if problem not in _warned:
            _warned.add(problem)
            with own_lines:
                _log_settings.warning("setting_refused", extra={"problem": problem})


def report_ignored(adapter: str, in_force: Settings, asked: Settings, *others: str) -> None:
    """Report a second set-up of an application, which changes nothing, if it has other options.

    `others` are options that are no settings.
    """
    names = (name for name in asked.given if getattr(asked, name) != getattr(in_force, name))
    options = sorted([*names, *others])
    if options:
        with own_lines:
            _log.warning("instrument_ignored", extra={"adapter": adapter, "options": options})


class Use:
    """Whether a wrapper was ever called; it refers to nothing that could keep the wrapper alive."""

    done = False

    def watch(self, wrapper: object, app: str, is_idle: Callable[[], bool]) -> None:
        """Log one WARNING if the wrapper of this application ends unused.

        It ends when the garbage collector takes it, or with the process. A process that `is_idle`
        by then serves nothing.
        """
        _uses.add(self)
        finalize(wrapper, apart, self._ended, app, is_idle)

    def _ended(self, app: str, is_idle: Callable[[], bool]) -> None:
        if not self.done:
            with _guard:
                if is_idle():
                    return
                _log.warning("wrapper_unused", extra={"app": app, "problem": _UNUSED})


def forget_uses() -> None:
    """Report none of the wrappers that exist."""
    for use in list(_uses):
        use.done = True
    _uses.clear()


def reset() -> None:
    """Report every mistake to come afresh (used by `pantheon_obs.testing.reset`)."""
    _warned.clear()
    forget_uses()


# One of the processes calls the wrapper, and the others must not report it.
on_fork(before=forget_uses)
