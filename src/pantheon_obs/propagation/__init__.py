"""Carry a trace to other services, jobs, threads and processes.

See `propagate` for HTTP clients, `inject` and `extract` for other carriers of headers, and `carry`
for threads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon_obs.propagation.carriers import extract, inject
    from pantheon_obs.propagation.clients import Propagation, propagate
    from pantheon_obs.propagation.executors import TracedThreadPoolExecutor, carry
else:  # hidden from type checkers, which would accept every name
    _HOME = {
        **dict.fromkeys(("extract", "inject"), "carriers"),
        **dict.fromkeys(("Propagation", "propagate"), "clients"),
        **dict.fromkeys(("TracedThreadPoolExecutor", "carry"), "executors"),
    }

    def __getattr__(name: str) -> object:
        """Import a public name at its first use: tracing a request does not need these modules."""
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME})


__all__ = ["Propagation", "TracedThreadPoolExecutor", "carry", "extract", "inject", "propagate"]
