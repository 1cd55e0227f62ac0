"""The function that a process pool runs."""

from __future__ import annotations

import os

from pantheon_obs import current_trace_id, trace_context
from pantheon_obs.propagation import extract


def work(carrier: dict[str, str]) -> tuple[int, str]:
    """Run in the trace of the carrier; return the process id and the trace id."""
    with trace_context(extract(carrier)):
        return os.getpid(), current_trace_id.get()
