"""Report a wrapper that nobody calls: its caller serves the application without it."""

from __future__ import annotations

import logging
import os
from weakref import WeakSet, finalize

from pantheon_obs.core.context import apart
from pantheon_obs.core.guard import Guard

_PROBLEM = "instrument() has wrapped the application: serve its result, app = instrument(app)"

_log = logging.getLogger("pantheon_obs")
_guard = Guard("wrapper_unused")
_uses: WeakSet[Use] = WeakSet()


class Use:
    """Whether a wrapper was ever called; it refers to nothing that could keep the wrapper alive."""

    done = False

    def watch(self, wrapper: object, app: str) -> None:
        """Log one WARNING if the wrapper of this application ends unused.

        It ends when the garbage collector takes it, or with the process.
        """
        _uses.add(self)
        finalize(wrapper, apart, self._ended, app)

    def _ended(self, app: str) -> None:
        if not self.done:
            with _guard:
                _log.warning("wrapper_unused", extra={"app": app, "problem": _PROBLEM})


def forget() -> None:
    """Report none of the wrappers that exist (used by `pantheon_obs.testing.reset`)."""
    for use in list(_uses):
        use.done = True
    _uses.clear()


if hasattr(os, "register_at_fork"):
    # One of the processes calls the wrapper, and the others must not report it.
    os.register_at_fork(before=forget)
