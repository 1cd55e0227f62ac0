"""The one line: pick an adapter, build the sinks, mark the app, return it."""

from __future__ import annotations

import inspect
import logging
import reprlib
import sys
from importlib import import_module
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.settings import resolve
from pantheon_obs.sinks.logs import configure as logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.health import Health

_App = TypeVar("_App")


class _Framework(NamedTuple):
    """A framework whose app objects are instrumented in place."""

    module: str
    app_class: str
    adapter: str
    protocol: str


# One row per framework; a subclass of an app class, as FastAPI is of Starlette, has its row too.
_FRAMEWORKS = (
    _Framework("starlette.applications", "Starlette", "starlette", "asgi"),
    _Framework("litestar.app", "Litestar", "litestar", "asgi"),
    _Framework("quart.app", "Quart", "quart", "asgi"),
    _Framework("flask.app", "Flask", "flask", "wsgi"),
)
# Adapters of apps that Sentry's own patches of a framework do not stand around.
_UNKNOWN_TO_SENTRY = frozenset({"asgi", "wsgi", "litestar"})
# What a plain callable of a protocol is called with.
_PROTOCOLS = {"asgi": ("scope", "receive", "send"), "wsgi": ("environ", "start_response")}


def instrument(
    app: _App,
    settings: Settings | None = None,
    *,
    health: Health | bool | None = None,
    **overrides: object,
) -> _App:
    """Turn a web service into one that can be debugged from its logs.

    Sets up logging, starts Sentry if a DSN is set (now, or when the server starts the app), and
    puts request tracing outside everything the framework adds. A second call is a no-op.

    Args:
        app: An app object of FastAPI or Starlette, or any ASGI or WSGI callable.
        settings: The settings; None reads the environment.
        health: Answers `{health_prefix}/live` and `{health_prefix}/ready`; True for an empty
            `Health()`, None or False for no endpoints.
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
    name, protocol = _adapter_of(app)
    adapter = import_module(f"pantheon_obs.adapters.{name}")
    resolved = resolve(settings, overrides)
    healthy = _health_endpoints(health, protocol, resolved.health_prefix)
    if adapter.is_installed(app):
        return app
    dsn_is_argument = "sentry_dsn" in overrides or settings is not None
    on_startup = start(resolved, None if dsn_is_argument else lambda: resolve(None, overrides))
    announce(resolved, adapter=name)
    instrumented: _App = adapter.install(
        app, resolved, on_startup, lambda inner: healthy(_watched(inner, name, protocol))
    )
    return instrumented


def start(
    settings: Settings, reread: Callable[[], Settings] | None, *, anew: bool = True
) -> Callable[[], None]:
    """Set up logging and Sentry.

    Args:
        settings: The settings.
        reread: Reads them again when the server starts, for a DSN that is in the environment only
            by then; None if the host gave the DSN, or its absence, itself.
        anew: Whether to configure logging also where that has been done already.

    Returns:
        What is to be called when the server starts the app.

    Raises:
        MissingExtraError: The host gave a DSN itself, but `sentry_sdk` is missing.
    """
    if anew or logs.active_emitter() is None:
        logs.configure_logging(settings)
    else:
        logs.reassert()
    from pantheon_obs.sinks import sentry  # noqa: PLC0415 - loads nothing of Sentry's by itself

    sentry.start(settings, required=reread is None)

    def on_startup() -> None:
        logs.reassert()
        # The DSN may have come into the environment since, or the host have started Sentry.
        sentry.start(settings if reread is None else reread(), required=False)

    return on_startup


def take_over() -> None:
    """Take over what has been set up since logging was configured, if it was."""
    logs.reassert()


def announce(settings: Settings, *, adapter: str) -> None:
    """Log what is on, and why the rest is off.

    Args:
        settings: The settings.
        adapter: Names the adapter on the line.
    """
    from pantheon_obs.sinks import sentry  # noqa: PLC0415 - as above

    logging.getLogger("pantheon_obs").info(
        "observability_configured",
        extra={
            "adapter": adapter,
            "log_format": logs.active_format(),
            "log_level": settings.log_level,
            "sentry": sentry.status(),
        },
    )


def _adapter_of(app: object) -> tuple[str, str]:
    """Name the adapter for an app, and the protocol that it speaks."""
    for framework in _FRAMEWORKS:
        module = sys.modules.get(framework.module)
        if module is not None and isinstance(app, getattr(module, framework.app_class)):
            return framework.adapter, framework.protocol
    fitting = [name for name, arguments in _PROTOCOLS.items() if _takes(app, *arguments)]
    if len(fitting) > 1:  # takes any arguments
        fitting.remove("wsgi" if _is_awaited(app) else "asgi")
    if fitting:
        return fitting[0], fitting[0]
    shown = reprlib.repr(app)  # short, and safe from a __repr__ that fails
    known = ", ".join(framework.app_class for framework in _FRAMEWORKS)
    msg = (
        f"app={shown} is not accepted: use an app object ({known}), "
        "an ASGI callable (scope, receive, send) or a WSGI callable (environ, start_response)"
    )
    raise ConfigError(msg)


def _takes(app: object, *arguments: str) -> bool:
    """Whether it can be called with these, by position."""
    # A class is called to serve a request only if what it makes can be awaited or iterated over.
    if not callable(app) or (
        inspect.isclass(app) and not (hasattr(app, "__await__") or hasattr(app, "__iter__"))
    ):
        return False
    # Sentry's middleware has its `__call__` in a slot, of which the class knows no signature.
    own = isinstance(vars(type(app)).get("__call__"), MemberDescriptorType)
    try:
        inspect.signature(app.__call__ if own else app).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def _is_awaited(app: object) -> bool:
    if inspect.isclass(app):
        return hasattr(app, "__await__")
    call = getattr(app, "__call__", None)  # noqa: B004 - an instance's method, to ask what it is
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


def _watched(app: Any, adapter: str, protocol: str) -> Any:  # noqa: ANN401 - any app
    """The app with Sentry's middleware around it, where no integration of Sentry's puts it."""
    if adapter not in _UNKNOWN_TO_SENTRY:
        return app
    from pantheon_obs.sinks import sentry  # noqa: PLC0415 - as above

    return sentry.around(app, protocol)


def _health_endpoints(
    health: Health | bool | None,  # noqa: FBT001 - as `instrument` takes it
    protocol: str,
    prefix: str,
) -> Callable[[Any], Any]:
    """What puts the health endpoints around an app; nothing where there are none."""
    if health is None or health is False:
        return lambda app: app
    from pantheon_obs.health import Health, endpoints  # noqa: PLC0415 - only where they are asked for

    if health is True:
        health = Health()
    if not isinstance(health, Health):
        msg = f"health={reprlib.repr(health)} is not accepted: use a Health, True or None"
        raise ConfigError(msg)
    mount = endpoints.AsgiHealth if protocol == "asgi" else endpoints.WsgiHealth
    return lambda app: mount(app, health, prefix)
