"""Report what is wrong in the environment, once per process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pantheon_obs.core.guard import own_lines

if TYPE_CHECKING:
    from pantheon_obs.core.settings import Settings

_log = logging.getLogger("pantheon_obs.settings")
_warned: set[str] = set()


def warn_of_problems(settings: Settings) -> None:
    """Log one WARNING for each bad value or name in the environment."""
    for problem in settings.problems:
        if problem not in _warned:
            _warned.add(problem)
            with own_lines:
                _log.warning("setting_refused", extra={"problem": problem})


def reset() -> None:
    """Forget the warnings (used by `pantheon_obs.testing.reset`)."""
    _warned.clear()
