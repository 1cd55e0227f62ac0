"""The off switch: `disabled` turns the library off in this process, and one line says so."""

from __future__ import annotations

import logging
import sys

from pantheon_obs.core.guard import Guard, own_lines
from pantheon_obs.core.in_force import put_in_force
from pantheon_obs.core.settings import Settings

_log = logging.getLogger("pantheon_obs")
_guard = Guard("off switch")
_is_off: bool | None = None  # until a set-up, or somebody's question, decides
_is_reported = False


def turned_off(settings: Settings) -> bool:
    """Turn the library off or on, as a set-up's settings say, and return whether it is off."""
    global _is_off, _is_reported  # noqa: PLW0603 - one process, one switch
    _is_off = settings.disabled
    put_in_force(settings)
    if _is_off and not _is_reported:
        _is_reported = True
        with _guard:
            _report("disabled" in settings.given)
    return _is_off


def is_off() -> bool:
    """Whether the library is off: by the last set-up, before the first by the environment."""
    global _is_off  # noqa: PLW0603 - as above
    if _is_off is None:
        _is_off = Settings.from_env().disabled
    return _is_off


def reset() -> None:
    """Forget the switch (used by `pantheon_obs.testing.reset`)."""
    global _is_off, _is_reported
    _is_off, _is_reported = None, False


def _report(is_argument: bool) -> None:  # noqa: FBT001 - one caller, above
    reason = "disabled=True was given" if is_argument else "PANTHEON_OBS_DISABLED is set"
    if _log.hasHandlers():
        with own_lines:
            _log.info("observability_disabled", extra={"reason": reason})
    elif sys.stderr is not None:  # logging would drop the line of an application without handlers
        sys.stderr.write(f"INFO pantheon_obs observability_disabled reason={reason!r}\n")
