"""The fields that structlog has bound in this context; it is not imported for them."""

from __future__ import annotations

import sys
from typing import Any

from pantheon_obs.core.installed import imported

_CONTEXT = "structlog.contextvars"

variables: Any = {}
"""structlog's register of its context variables, one per key; empty until it is imported.

Much faster than its public function, which searches the whole context. Without a register in that
version it is no dict, and not empty.
"""


def read_register() -> None:
    """Take the register of structlog, which has just been imported."""
    global variables  # noqa: PLW0603 - one structlog per process
    variables = getattr(sys.modules.get(_CONTEXT), "_CONTEXT_VARS", (None,))


def bound_fields() -> dict[str, Any]:
    """Return the fields."""
    module: Any = imported(_CONTEXT)
    return {} if module is None else module.get_contextvars()
