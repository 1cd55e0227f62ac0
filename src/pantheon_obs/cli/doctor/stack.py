"""Examine the middleware around an application: ours, its place, and other products like it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs._instrument import instrumentation_of, product_of
from pantheon_obs.adapters.asgi import TraceIdMiddleware
from pantheon_obs.adapters.wsgi import TraceIdMiddleware as WsgiTraceIdMiddleware
from pantheon_obs.cli.doctor.finding import Finding, fault
from pantheon_obs.cli.doctor.servers import EVERY_PROXY
from pantheon_obs.core.errors import ConfigError
from pantheon_obs.products import ALIKE
from pantheon_obs.sinks.logs import configure as logs
from pantheon_obs.sinks.logs.handler import ObsHandler
from pantheon_obs.sinks.logs.printing import handlers_behind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pantheon_obs._instrument import Instrumentation

_BY_HAND = (TraceIdMiddleware, WsgiTraceIdMiddleware)
_MOST = 30  # callables around each other
_FRAMEWORK = "framework"


def examine_stack(app: Any) -> Iterator[Finding]:
    """Examine an application object or a plain callable."""
    if _is_django(app):
        return
    try:
        product = product_of(app)
    except ConfigError as error:
        yield Finding("application", "unknown", str(error))
        return
    layers = _layers(app)
    own = [getattr(entry, "cls", None) for entry in getattr(app, "user_middleware", ())]
    is_by_hand = any(map(_is_ours, own))
    traced = next((layer for layer in layers if _is_traced(layer)), None)
    if traced is not None:
        sound = Finding("tracing", "on", f"instrument(app), {product.name}")
        yield _order(app, layers, traced, is_by_hand=is_by_hand) or sound
    elif is_by_hand:
        yield _place_of_ours(own[0])
    else:
        line = "instrument(app)" if product.app_class else "app = instrument(app)"
        yield fault("tracing", "no response has a trace id: the application is bare", line)
    yield from _alike(map(_path, [*own, *map(type, layers)]))
    yield from _trusting(app, layers)
    if traced is not None or is_by_hand:
        yield from _logging()
    yield from _shadowed(app, instrumentation_of(traced))


def _order(app: Any, layers: list[Any], traced: object, *, is_by_hand: bool) -> Finding | None:
    """Find a second instrumentation, or middleware around ours."""
    if is_by_hand:
        why = "TraceIdMiddleware was added to an instrumented application"
        return fault("two instrumentations", why, "remove add_middleware(TraceIdMiddleware)")
    why = "what {} answers itself has no trace id: it stands around instrument(app)"
    if replaced := _replaced(app):
        kind, name = replaced
        line = f"app.{name} = {kind}(app.{name})  # before instrument(app)"
        return fault("order", why.format(kind), line)
    if outer := _outside(layers, traced):
        return fault("order", why.format(outer), f"app = instrument({outer}(app))")
    return None


def examine_django() -> Iterator[Finding]:
    """Examine a Django project, if its settings are in use: its own checks, and its apps."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return
    from pantheon_obs.adapters.django import checks  # noqa: PLC0415 - where there is Django

    found = [*checks.check_settings(), *checks.check_middleware()]
    if "pantheon_obs" in conf.settings.INSTALLED_APPS:
        found += checks.check_package()
    elif checks.APP not in conf.settings.INSTALLED_APPS:
        why = f"{checks.APP} is missing: logging and Sentry are not set up"
        yield fault("django app", why, f'INSTALLED_APPS += ["{checks.APP}"]')
    for message in found:
        yield fault("django", str(message.msg), str(message.hint))
    if not found:
        yield Finding("tracing", "on", "the middleware is the first in MIDDLEWARE")
    yield from _alike(conf.settings.MIDDLEWARE)
    yield from _logging()


def _is_django(app: object) -> bool:
    return any(kind.__module__.startswith("django.core.handlers") for kind in type(app).__mro__)


def _layers(app: Any) -> list[Any]:
    """List a callable and the callables that it wraps, as far as they can be seen."""
    layers = [app]
    for layer in layers:  # it grows meanwhile
        if len(layers) > _MOST or _kind_of(layer) == _FRAMEWORK:
            break
        inside = [*getattr(layer, "__dict__", {}).values()]
        cells = [cell.cell_contents for cell in getattr(layer, "__closure__", None) or ()]
        known = {id(each) for each in layers}
        found = [each for each in (*inside, *cells) if id(each) not in known and _kind_of(each)]
        layers += found
    return layers


def _kind_of(value: object) -> str | None:
    """Find out whether a value is a framework's own application, or a callable like one."""
    try:
        kind = _FRAMEWORK if product_of(value).app_class else "callable"
        return None if isinstance(value, type) else kind
    except Exception:  # noqa: BLE001 - any object of the application
        return None


def _is_traced(layer: object) -> bool:
    return isinstance(layer, _BY_HAND) or instrumentation_of(layer) is not None


def _outside(layers: list[Any], traced: object) -> str | None:
    """Name the middleware around ours, unless it only applies the headers of a proxy."""
    outer = layers[0]
    if outer is traced or "proxy" in type(outer).__module__:
        return None
    return type(outer).__name__


def _replaced(app: Any) -> tuple[str, str] | None:
    """Name the wrapper that has replaced Flask's `wsgi_app` or Quart's `asgi_app` after ours."""
    for name in ("wsgi_app", "asgi_app"):
        around = getattr(app, "__dict__", {}).get(name)
        if around is not None and (outer := _outside([around], None)):
            return outer, name
    return None


def _trusting(app: Any, layers: list[Any]) -> Iterator[Finding]:
    """Find middleware that believes every client as a proxy, as uvicorn's may."""
    options = [getattr(entry, "kwargs", {}) for entry in getattr(app, "user_middleware", ())]
    hosts = [each.get("trusted_hosts", "") for each in options]
    trusted = [getattr(layer, "trusted_hosts", None) for layer in layers]
    trusts_all = any(getattr(each, "always_trust", False) is True for each in trusted)
    if trusts_all or any("*" in each for each in hosts):
        fix = 'trusted_hosts="10.0.0.0/8"  # the addresses of your own proxies'
        yield fault("proxy", EVERY_PROXY, fix)


def _is_ours(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, _BY_HAND)


def _place_of_ours(first: object) -> Finding:
    """Find out whether our middleware, which was added by hand, is the first."""
    if _is_ours(first):
        return Finding("tracing", "on", "TraceIdMiddleware, outside the others")
    name = getattr(first, "__name__", first)
    why = f"TraceIdMiddleware stands inside {name}: what that answers has no trace id"
    return fault("order", why, "instrument(app)  # in place of add_middleware(TraceIdMiddleware)")


def _alike(paths: Iterable[str]) -> Iterator[Finding]:
    """Find middleware of other packages, by the path to its class, with the same task as ours."""
    for path in paths:
        package, name = path.partition(".")[0], path.rpartition(".")[2]
        if package in ALIKE:
            yield fault("two instrumentations", f"{name}: {ALIKE[package]}", f"remove {name}")


def _path(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__name__', kind)}"


def _shadowed(app: Any, ours: Instrumentation | None) -> Iterator[Finding]:
    """Find routes of the application that the endpoints of the library stand before."""
    if ours is None:
        return
    rules = getattr(app, "url_map", None)  # Flask's and Quart's
    own = {getattr(each, "path", None) for each in getattr(app, "routes", ())}
    own |= {each.rule for each in rules.iter_rules()} if rules is not None else set()
    probes = ours.settings.health_prefix if ours.health else None
    answered = {
        ours.settings.metrics_path: "metrics_path",
        probes and f"{probes}/live": "health_prefix",
        probes and f"{probes}/ready": "health_prefix",
    }
    for path in own & answered.keys() - {None}:
        name = answered[path]
        line = f'instrument(app, {name}="/internal{getattr(ours.settings, name)}")'
        yield fault("routes", f"the application's own route {path} is never reached", line)


def _logging() -> Iterator[Finding]:
    if logs.active_emitter() is None:
        yield fault("logging", "log lines have no trace id", "configure_logging()")
    elif not any(isinstance(each, ObsHandler) for each in _handlers()):
        why = "a later configuration of logging has removed the library's handler"
        yield fault("logging", why, "remove basicConfig, dictConfig or fileConfig after instrument")
    else:
        yield Finding("logging", "on", "every line of the process is the library's")


def _handlers() -> Iterator[logging.Handler]:
    for handler in logging.getLogger().handlers:
        yield handler
        yield from handlers_behind(handler)
