"""Carry a trace to other services, jobs, threads and processes.

See `propagate` for HTTP clients, `inject` and `extract` for other carriers of headers, and `carry`
for threads.
"""

from __future__ import annotations

from pantheon_obs.propagation.carriers import extract, inject
from pantheon_obs.propagation.clients import Propagation, propagate
from pantheon_obs.propagation.executors import TracedThreadPoolExecutor, carry

__all__ = ["Propagation", "TracedThreadPoolExecutor", "carry", "extract", "inject", "propagate"]
