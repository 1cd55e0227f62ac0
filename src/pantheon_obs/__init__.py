"""One line turns a web service that calls LLMs into one you can debug from its logs."""

from __future__ import annotations

import sys

from pantheon_obs._version import __version__

TYPE_CHECKING = False  # type checkers read it; importing typing would double the import's time

# The last place to look for a module: `_elsewhere` finds those that users guess, and its error says
# where their names are. Other packages of the library have it on their path, too.
_ELSEWHERE = f"{__name__}._elsewhere"
__path__.append(_ELSEWHERE)


def _search(entry: str) -> PathEntryFinderProtocol:
    """Give the import system the finder for this one entry of a path, when it asks first."""
    if entry != _ELSEWHERE:
        raise ImportError(name=entry)
    from pantheon_obs import _elsewhere  # noqa: PLC0415 - only where a name is wrong

    return _elsewhere


sys.path_hooks.append(_search)

# Only names that work without another package: not the checks of databases and Celery's part.
__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "Health",
    "MissingExtraError",
    "ObsError",
    "Settings",
    "TraceIdMiddleware",
    "TracedThreadPoolExecutor",
    "__version__",
    "bind",
    "budget",
    "carry",
    "configure_logging",
    "current_trace_id",
    "extract",
    "get_logger",
    "http_check",
    "init_sentry",
    "inject",
    "instrument",
    "instrument_llm",
    "keep",
    "llm_call",
    "logging_config",
    "measure",
    "propagate",
    "tcp_check",
    "trace_context",
    "untraced",
]

if TYPE_CHECKING:
    from _typeshed.importlib import PathEntryFinderProtocol

    from pantheon_obs._instrument import instrument
    from pantheon_obs.adapters.asgi import TraceIdMiddleware
    from pantheon_obs.adapters.celery import instrument_celery as instrument_celery
    from pantheon_obs.core.context import current_trace_id
    from pantheon_obs.core.errors import (
        BudgetExceeded,
        ConfigError,
        MissingExtraError,
        ObsError,
    )
    from pantheon_obs.core.serving import bind, keep
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.health import Health, http_check, tcp_check
    from pantheon_obs.health import psycopg_check as psycopg_check
    from pantheon_obs.health import redis_check as redis_check
    from pantheon_obs.health import sqlalchemy_check as sqlalchemy_check
    from pantheon_obs.llm.call import llm_call
    from pantheon_obs.llm.cost.budget import budget
    from pantheon_obs.llm.instrument import instrument_llm
    from pantheon_obs.propagation import TracedThreadPoolExecutor, carry, extract, inject, propagate
    from pantheon_obs.propagation.jobs import trace_context, untraced
    from pantheon_obs.sinks.logs.configure import configure_logging, logging_config
    from pantheon_obs.sinks.logs.loggers import get_logger
    from pantheon_obs.sinks.sentry.start import init_sentry
    from pantheon_obs.time.measure import measure
else:  # hidden from type checkers, which would accept every name
    _NAMES = {
        "_instrument": ["instrument"],
        "adapters.asgi": ["TraceIdMiddleware"],
        "adapters.celery": ["instrument_celery"],
        "core.context": ["current_trace_id"],
        "core.serving": ["bind", "keep"],
        "core.errors": ["BudgetExceeded", "ConfigError", "MissingExtraError", "ObsError"],
        "core.settings": ["Settings"],
        "health": [
            "Health",
            "http_check",
            "psycopg_check",
            "redis_check",
            "sqlalchemy_check",
            "tcp_check",
        ],
        "llm.cost.budget": ["budget"],
        "llm.call": ["llm_call"],
        "llm.instrument": ["instrument_llm"],
        "propagation": ["TracedThreadPoolExecutor", "carry", "extract", "inject", "propagate"],
        "propagation.jobs": ["trace_context", "untraced"],
        "sinks.logs.configure": ["configure_logging", "logging_config"],
        "sinks.logs.loggers": ["get_logger"],
        "sinks.sentry.start": ["init_sentry"],
        "time.measure": ["measure"],
    }
    _HOME = {name: module for module, names in _NAMES.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from importlib import import_module  # noqa: PLC0415 - only where a name is used

        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME})
