"""The one line: pick an adapter, build the sinks, mark the app, return it."""

from __future__ import annotations

import inspect
import reprlib
import sys
from importlib import import_module
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar

from pantheon_obs import _setup
from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.settings import resolve
from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks import sentry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.health import Health

_App = TypeVar("_App")


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
    on_startup = _setup.start(resolved, lambda: resolve(settings, overrides))
    _setup.announce(resolved, adapter=name)
    instrumented: _App = adapter.install(
        app, resolved, on_startup, lambda inner: healthy(_watched(inner, name, protocol))
    )
    return instrumented


def _adapter_of(app: object) -> tuple[str, str]:
    """Name the adapter for an app, and the protocol that it speaks."""
    for product in PRODUCTS:
        module = sys.modules.get(product.module)
        if module is not None and isinstance(app, getattr(module, product.app_class)):
            return product.name, product.protocol
    fitting = [name for name, arguments in _PROTOCOLS.items() if _takes(app, *arguments)]
    if len(fitting) > 1:  # takes any arguments
        fitting.remove("wsgi" if _is_awaited(app) else "asgi")
    if fitting:
        return fitting[0], fitting[0]
    shown = reprlib.repr(app)  # short, and safe from a __repr__ that fails
    known = ", ".join(product.app_class for product in PRODUCTS if product.app_class)
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
    if any(product.name == adapter and product.sentry_wraps for product in PRODUCTS):
        return app
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
