"""`instrument`: pick an adapter, set up the sinks, put tracing around the app, return it."""

from __future__ import annotations

import inspect
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

from pantheon_obs import _setup
from pantheon_obs.core.errors import ConfigError, refuse, shown
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.mistakes import Use, report_ignored
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.signatures import takes
from pantheon_obs.products import PRODUCTS, Product
from pantheon_obs.sinks.sentry import start as sentry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.health import Health

_App = TypeVar("_App")

# The protocols of plain callables, with the positional arguments of each.
_PROTOCOLS = (
    (Product(name="asgi", protocol="asgi", sentry_wraps=False), ("scope", "receive", "send")),
    (Product(name="wsgi", protocol="wsgi", sentry_wraps=False), ("environ", "start_response")),
)

_guard = Guard("instrument")


class Instrumentation:
    """The start-up of an application, which its first call runs, and the options of `instrument`.

    The application owns it: objects that it refers to may refer to the application.
    """

    def __init__(self, start: Callable[[], None], settings: Settings, health: object) -> None:
        self.start = start
        self.settings = settings
        self.health = health
        self.use = Use()

    def __call__(self) -> None:
        self.use.done = True
        self.start()


_of: WeakKeyDictionary[object, ReferenceType[Instrumentation]] = WeakKeyDictionary()
"""The instrumentation of each application, by the application or by the adapter's mark on it."""


def instrument(
    app: _App,
    settings: Settings | None = None,
    *,
    health: Health | bool | None = None,
    **overrides: object,
) -> _App:
    """Turn a web service into one that can be debugged from its logs.

    Sets up logging, starts Sentry if a DSN is set (now, or when the server starts the app), and
    puts request tracing outside everything the framework adds. A second call is a no-op; if it asks
    for other options, it logs the WARNING `instrument_ignored`.

    Args:
        app: An app object of a framework, or any ASGI or WSGI callable.
        settings: The settings; None reads the environment.
        health: Answers `{health_prefix}/live` and `{health_prefix}/ready`; True for an empty
            `Health()`, None or False for no endpoints.
        overrides: Fields of `Settings` that replace those of `settings`.

    Returns:
        An app object itself, instrumented in place, or the wrapper of a plain callable. A wrapper
        that is never called is reported by the WARNING `wrapper_unused`.

    Raises:
        ConfigError: An argument is not accepted.
        MissingExtraError: `sentry_dsn`, `metrics_path` or `metrics_port` was given as an argument,
            but the package of its extra is missing.

    Example:
        >>> from pantheon_obs import instrument
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 204, "headers": []})
        ...     await send({"type": "http.response.body"})
        >>> app = instrument(app, log_format="json")
    """
    product = product_of(app)
    adapter = import_module(f"pantheon_obs.adapters.{product.name}")
    resolved = resolve(settings, overrides)
    with_health = _health_endpoints(health, product.protocol, resolved.health_prefix)
    mark_of = _marker(adapter)
    if adapter.is_installed(app):
        with _guard, suppress(TypeError):  # as below
            _report_ignored(mark_of(app), product, resolved, health)
        return app
    start = _setup.start(resolved, lambda: resolve(settings, overrides))
    if _setup.metrics_status() != "on":
        resolved = replace(resolved, metrics_path=None)  # the application answers it
    start = _setup.announce_serving(resolved, adapter=product.name, on_startup=start)
    instrumentation = Instrumentation(start, resolved, health)
    if resolved.disabled and not health:
        return app

    def wrap(inner: Any) -> Any:  # noqa: ANN401 - an application of any kind
        wraps = product.sentry_wraps
        inner = with_health(inner if wraps else sentry.around(inner, product.protocol))
        return _with_metrics(inner, resolved.metrics_path, product.protocol)

    instrumented: _App = adapter.install(app, resolved, instrumentation, wrap)
    if instrumented is not app and not resolved.disabled:
        instrumentation.use.watch(instrumented, shown(app), _setup.in_command)
    with _guard, suppress(TypeError):  # it may have no hash
        _of[mark_of(instrumented)] = ref(instrumentation)
    return instrumented


def instrumentation_of(app: object) -> Instrumentation | None:
    """Return the instrumentation of an app; None for an app that was not instrumented."""
    try:
        adapter = import_module(f"pantheon_obs.adapters.{product_of(app).name}")
        reference = _of.get(_marker(adapter)(app))
    except (ConfigError, ImportError, TypeError):  # no app; or one without a hash
        return None
    return None if reference is None else reference()


def _marker(adapter: Any) -> Callable[[Any], object]:  # noqa: ANN401 - a module
    return getattr(adapter, "mark_of", lambda instrumented: instrumented)


def product_of(app: object) -> Product:
    """Find the row of an app: a framework's row, or the row of the protocol of a callable."""
    # By name: other instrumentors put a subclass in the place of a framework's class.
    classes = {(kind.__module__, kind.__qualname__) for kind in app.__class__.__mro__}
    for product in PRODUCTS:
        if (product.module, product.app_class) in classes:
            return product
    for product in PRODUCTS:
        for part, instead in product.parts:
            kind = getattr(sys.modules.get(product.name), part, None)
            if kind is not None and isinstance(app, kind):
                refuse("app", app, instead)
    fitting = [row for row, arguments in _PROTOCOLS if _takes(app, *arguments)]
    if not fitting:
        known = ", ".join(product.app_class for product in PRODUCTS if product.app_class)
        accepted = (
            f"an app object ({known}), an ASGI callable (scope, receive, send) "
            "or a WSGI callable (environ, start_response)"
        )
        if inspect.isclass(app):
            accepted = f"an app object, {app.__name__}(), and not its class"
        refuse("app", app, accepted)
    return fitting[0 if _is_awaited(app) else -1]  # an app that takes any arguments fits both


def _takes(app: object, *arguments: str) -> bool:
    """Whether an app can be called with these positional arguments."""
    # A class serves requests only if its instances can be awaited or iterated over.
    if not callable(app) or (
        inspect.isclass(app) and not (hasattr(app, "__await__") or hasattr(app, "__iter__"))
    ):
        return False
    return takes(app, *arguments)


def _is_awaited(app: object) -> bool:
    if inspect.isclass(app):
        return hasattr(app, "__await__")
    call = getattr(app, "__call__", None)  # noqa: B004 - not whether it can be called
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


def _report_ignored(mark: object, product: Product, asked: Settings, health: object) -> None:
    """Report the options of a second call that differ from the first call's options."""
    reference = _of.get(mark)
    in_force = None if reference is None else reference()
    if in_force is not None:
        is_other = health is not None and (health or None) is not (in_force.health or None)
        report_ignored(product.name, in_force.settings, asked, *(["health"] if is_other else []))


def _with_metrics(app: Any, path: str | None, protocol: str) -> Any:  # noqa: ANN401 - an application
    """Put the page of the metrics around an app, if there is one."""
    if path is None:
        return app
    from pantheon_obs.sinks.metrics import endpoint  # noqa: PLC0415 - only where it is asked for

    kind = endpoint.WsgiMetrics if protocol == "wsgi" else endpoint.AsgiMetrics
    return kind(app, path)


def _health_endpoints(health: object, protocol: str, prefix: str) -> Callable[[Any], Any]:
    """Make the function that puts the health endpoints around an app."""
    if health is None or health is False:
        return lambda app: app
    from pantheon_obs.health import Health, endpoints  # noqa: PLC0415 - only where they are asked for
    from pantheon_obs.health.lifespans import current_lifespan  # noqa: PLC0415 - as above

    if health is True:
        health = Health()
    if not isinstance(health, Health):
        refuse("health", health, "a Health, True or None")
    if protocol == "wsgi":
        return lambda app: endpoints.WsgiHealth(app, health, prefix)
    lifespan = current_lifespan()
    return lambda app: endpoints.AsgiHealth(app, health, prefix, lifespan)
