"""How a trace goes out of the process: to other services, to jobs, to threads and processes.

See `propagate` for HTTP clients, `inject` and `extract` for everything else that has headers, and
`carry` for threads.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; importing typing would double the import's time

__all__ = ["Propagation", "TracedThreadPoolExecutor", "carry", "extract", "inject", "propagate"]

if TYPE_CHECKING:
    from pantheon_obs.propagation.carriers import extract, inject
    from pantheon_obs.propagation.clients import Propagation, propagate
    from pantheon_obs.propagation.executors import TracedThreadPoolExecutor, carry
else:  # hidden from type checkers, which would take any name for one of ours
    _HOME = {
        "Propagation": "clients",
        "TracedThreadPoolExecutor": "executors",
        "carry": "executors",
        "extract": "carriers",
        "inject": "carriers",
        "propagate": "clients",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from importlib import import_module  # noqa: PLC0415 - only where a name is asked for

        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
