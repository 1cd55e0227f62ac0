"""Let calls wait for Redis as long as it takes: a busy machine is no dead server."""

from __future__ import annotations

from pantheon_obs.llm.cost import redis_script, spending
from tests.support.server import SECONDS


def be_patient() -> None:
    """Wait longer from now on, in a process of its own."""
    spending._LONGEST_WAIT = redis_script._TIMEOUT = SECONDS  # noqa: SLF001 - there is no option
