"""Whether this process runs a command of a framework's command line that does not serve."""

from __future__ import annotations

from pantheon_obs.core.stack import is_below
from pantheon_obs.products import PRODUCTS


def is_running() -> bool:
    """Whether this call comes from such a command, `flask routes` or `manage.py dumpdata`.

    What it prints is for its user, or for a pipe: log lines do not belong there.
    """
    return any(
        is_below(product.command_line)
        and not (product.serving_command and is_below(product.serving_command))
        for product in PRODUCTS
        if product.command_line
    )
