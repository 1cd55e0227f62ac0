"""One line turns a web service that calls LLMs into one you can debug from its logs."""

from __future__ import annotations

from pantheon_obs._version import __version__

TYPE_CHECKING = False  # type checkers read it; importing typing would double the import's time

__all__ = [
    "ConfigError",
    "Health",
    "MissingExtraError",
    "ObsError",
    "Settings",
    "TraceIdMiddleware",
    "__version__",
    "bind",
    "configure_logging",
    "current_trace_id",
    "get_logger",
    "init_sentry",
    "instrument",
    "instrument_llm",
    "llm_call",
    "logging_config",
    "trace_context",
]

if TYPE_CHECKING:
    from pantheon_obs._instrument import instrument
    from pantheon_obs.adapters.asgi import TraceIdMiddleware
    from pantheon_obs.core.context import bind, current_trace_id
    from pantheon_obs.core.errors import ConfigError, MissingExtraError, ObsError
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.health import Health
    from pantheon_obs.llm.call import llm_call
    from pantheon_obs.llm.instrument import instrument_llm
    from pantheon_obs.propagation.jobs import trace_context
    from pantheon_obs.sinks.logs.configure import configure_logging, logging_config
    from pantheon_obs.sinks.logs.structlog_bridge import get_logger
    from pantheon_obs.sinks.sentry import init_sentry
else:  # hidden from type checkers, which would accept every name
    _HOME = {
        "ConfigError": "core.errors",
        "Health": "health",
        "MissingExtraError": "core.errors",
        "ObsError": "core.errors",
        "Settings": "core.settings",
        "TraceIdMiddleware": "adapters.asgi",
        "bind": "core.context",
        "configure_logging": "sinks.logs.configure",
        "current_trace_id": "core.context",
        "get_logger": "sinks.logs.structlog_bridge",
        "init_sentry": "sinks.sentry",
        "instrument": "_instrument",
        "instrument_llm": "llm.instrument",
        "llm_call": "llm.call",
        "logging_config": "sinks.logs.configure",
        "trace_context": "propagation.jobs",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from importlib import import_module  # noqa: PLC0415 - only where a name is used

        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
