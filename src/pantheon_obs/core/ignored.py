"""Report a second set-up of an application with other options, which changes nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pantheon_obs.core.guard import own_lines

if TYPE_CHECKING:
    from pantheon_obs.core.settings import Settings

_log = logging.getLogger("pantheon_obs")


def report_ignored(adapter: str, in_force: Settings, asked: Settings, *others: str) -> None:
    """Log one WARNING that names the options that were asked for and are not in force.

    `others` are options that are no settings. Nothing is logged if there are none at all.
    """
    names = (name for name in asked.given if getattr(asked, name) != getattr(in_force, name))
    options = sorted([*names, *others])
    if options:
        with own_lines:
            _log.warning("instrument_ignored", extra={"adapter": adapter, "options": options})
