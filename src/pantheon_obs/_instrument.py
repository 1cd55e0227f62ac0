"""The one line: pick an adapter, build the sinks, mark the app, return it."""

from __future__ import annotations

import inspect
import logging
import reprlib
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.settings import resolve
from pantheon_obs.sinks.logs import configure as logs

if TYPE_CHECKING:
    from pantheon_obs.core.settings import Settings

_App = TypeVar("_App")


class _Framework(NamedTuple):
    """A framework whose app objects are instrumented in place."""

    module: str
    app_class: str
    adapter: str


# One row per framework; a subclass of an app class, as FastAPI is of Starlette, has its row too.
_FRAMEWORKS = (
    _Framework("starlette.applications", "Starlette", "pantheon_obs.adapters.starlette"),
)
_ASGI = "pantheon_obs.adapters.asgi"


def instrument(app: _App, settings: Settings | None = None, **overrides: object) -> _App:
    """Turn a web service into one that can be debugged from its logs.

    Sets up logging, starts Sentry if a DSN is set (now, or when the server starts the app), and
    puts request tracing outside everything the framework adds. A second call is a no-op.

    Args:
        app: A FastAPI or Starlette app, or any ASGI callable.
        settings: The settings; None reads the environment.
        overrides: Fields of `Settings` that win over both.

    Returns:
        A framework's app object itself, instrumented in place; a plain callable wrapped.

    Raises:
        ConfigError: The app is not one, or a setting is not accepted.
        MissingExtraError: `sentry_dsn` was given as an argument, but `sentry_sdk` is missing.

    Example:
        >>> from pantheon_obs import instrument
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 204, "headers": []})
        ...     await send({"type": "http.response.body"})
        >>> app = instrument(app, log_format="json")
    """
    adapter = _adapter_of(app)
    resolved = resolve(settings, overrides)
    if adapter.is_installed(app):
        return app
    logs.configure_logging(resolved)
    from pantheon_obs.sinks import sentry  # noqa: PLC0415 - loads nothing of Sentry's by itself

    dsn_is_argument = "sentry_dsn" in overrides or settings is not None
    sentry.start(resolved, required=dsn_is_argument)

    def on_startup() -> None:
        logs.reassert()
        # The DSN may have come into the environment since, or the host have started Sentry.
        sentry.start(resolved if dsn_is_argument else resolve(None, overrides), required=False)

    instrumented: _App = adapter.install(app, resolved, on_startup)
    logging.getLogger("pantheon_obs").info(
        "observability_configured",
        extra={
            "adapter": adapter.__name__.rpartition(".")[2],
            "log_format": logs.active_format(),
            "log_level": resolved.log_level,
            "sentry": sentry.status(),
        },
    )
    return instrumented


def _adapter_of(app: object) -> Any:  # noqa: ANN401 - a module of adapters/
    for framework in _FRAMEWORKS:
        module = sys.modules.get(framework.module)
        if module is not None and isinstance(app, getattr(module, framework.app_class)):
            return import_module(framework.adapter)
    if _takes(app, "scope", "receive", "send"):
        return import_module(_ASGI)
    wsgi = "; WSGI is not supported yet" if _takes(app, "environ", "start_response") else ""
    shown = reprlib.repr(app)  # short, and safe from a __repr__ that fails
    msg = (
        f"app={shown} is not accepted: use a FastAPI or Starlette app, "
        f"or an ASGI callable (scope, receive, send){wsgi}"
    )
    raise ConfigError(msg)


def _takes(app: object, *arguments: str) -> bool:
    """Whether it can be called with these, by position."""
    # A class is called to serve a request only if what it makes can be awaited.
    if not callable(app) or (inspect.isclass(app) and not hasattr(app, "__await__")):
        return False
    try:
        inspect.signature(app).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
