"""How a trace goes out of the process: to other services, to jobs, to threads and processes.

See `propagate` for HTTP clients, `inject` and `extract` for everything else that has headers, and
`carry` for threads.
"""

from __future__ import annotations

from pantheon_obs.propagation.carriers import extract, inject
from pantheon_obs.propagation.clients import Propagation, propagate
from pantheon_obs.propagation.executors import TracedThreadPoolExecutor, carry

__all__ = ["Propagation", "TracedThreadPoolExecutor", "carry", "extract", "inject", "propagate"]
