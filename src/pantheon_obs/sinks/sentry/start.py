"""Start Sentry if there is a DSN: private by default, each event tagged with its trace id.

`sentry_sdk` is imported only then, and with it `client` and the modules that change events.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import MissingExtraError, require
from pantheon_obs.core.guard import Guard, own_lines
from pantheon_obs.core.settings import NAMES, Settings, resolve
from pantheon_obs.core.switch import turned_off
from pantheon_obs.sinks.sentry.apps import asgi_app, wsgi_app
from pantheon_obs.sinks.sentry.options import dsn_of, refuse_unknown

if TYPE_CHECKING:
    from types import ModuleType

_ON = "on"
_NOT_STARTED = "off: not started"

_AROUND: dict[str, Any] = {"asgi": asgi_app, "wsgi": wsgi_app}

_log = logging.getLogger("pantheon_obs.sentry")
_guard = Guard("sentry integrations")
_status = _NOT_STARTED
_client: Any = None  # the client that we have made
_adds_integrations = True  # to that client


def init_sentry(settings: Settings | None = None, **options: object) -> bool:
    """Start Sentry if there is a DSN; without one `sentry_sdk` is not even imported.

    A second call changes nothing. If the application has started Sentry itself, its client and
    options stay, and its events get the trace id.

    Args:
        settings: The settings; None reads the environment.
        options: Fields of `Settings` that win over both, or options of `sentry_sdk.init`, which
            win over the library's own defaults.

    Returns:
        Whether Sentry is on; False if the library is `disabled`.

    Raises:
        ConfigError: A setting is not accepted, or a name is neither a field nor an option.
        MissingExtraError: A DSN was given as an argument, but `sentry_sdk` is not installed.

    Example:
        >>> from pantheon_obs import init_sentry
        >>> init_sentry(sentry_dsn=None)
        False
    """
    fields = {name: options.pop(name) for name in NAMES if name in options}
    resolved = resolve(settings, fields)
    if options:
        both = {**(resolved.sentry_options or {}), **options}
        resolved = resolved.with_overrides({"sentry_options": both})
    refuse_unknown(resolved.sentry_options or (), NAMES)
    return not turned_off(resolved) and start(resolved)


def start(settings: Settings) -> bool:
    """Start Sentry once, as `init_sentry`; where it is on already, add missing integrations."""
    global _status  # noqa: PLW0603 - Sentry is one per process
    sdk = _sdk()
    if sdk is None:
        sdk = sys.modules.get("sentry_sdk")
        if sdk is None or not _is_decided(sdk, settings):
            sdk = _init(settings)
        if sdk is None:
            return False
        from pantheon_obs.sinks.sentry.client import watch  # noqa: PLC0415 - only with Sentry

        _status = _ON
        watch(sdk)
    if _adds_integrations and sdk.get_client() is _client:
        from pantheon_obs.sinks.sentry.integrations import add_integrations  # noqa: PLC0415 - as above

        with _guard:
            add_integrations(sdk)
    return bool(sdk.get_client().dsn)


def _is_decided(sdk: ModuleType, settings: Settings) -> bool:
    """Whether the application has started Sentry itself, or turned it off by an empty DSN."""
    if not sdk.is_initialized():
        return False
    return bool(sdk.get_client().dsn) or not _is_asked_for(settings)


def _is_asked_for(settings: Settings) -> bool:
    """Whether the application itself gives a DSN, and not its environment."""
    return "sentry_dsn" in settings.given or "dsn" in (settings.sentry_options or {})


def around(app: Any, protocol: str) -> Any:  # noqa: ANN401 - any app
    """Put Sentry's middleware around a callable of a protocol, if Sentry is on by then."""
    return _AROUND[protocol](app, _sdk)


def missing_interceptor(module: str) -> Any:  # noqa: ANN401 - gRPC's
    """Return Sentry's interceptor of a module if the server of this first call lacks it."""
    sdk = _sdk()
    if sdk is None:
        return None
    from pantheon_obs.sinks.sentry import integrations  # noqa: PLC0415 - as above

    return integrations.missing_interceptor(sdk, module)


def status() -> str:
    """Return `on`, or `off: ` and the reason."""
    sdk = _sdk()
    if sdk is not None and not sdk.get_client().dsn:
        return "off: the application's own client has no DSN"
    return _status


def reset() -> None:
    """Undo `start`, and close the client that it made (used by `pantheon_obs.testing.reset`)."""
    global _adds_integrations, _client, _status
    sdk, client = _sdk(), _client
    _client, _status, _adds_integrations = None, _NOT_STARTED, True
    if sdk is None:
        return
    from pantheon_obs.sinks.sentry.client import unwatch  # noqa: PLC0415 - as above

    unwatch(sdk)
    if client is not None:
        client.close(timeout=0)
        if sdk.get_client() is client:
            sdk.get_global_scope().set_client(None)


def _sdk() -> ModuleType | None:
    """Return the module `sentry_sdk` if Sentry is on."""
    return sys.modules["sentry_sdk"] if _status == _ON else None


def _init(settings: Settings) -> ModuleType | None:
    """Call `sentry_sdk.init`; where that fails, log the reason and let the application run."""
    global _adds_integrations, _client, _status  # noqa: PLW0603 - as above
    if dsn_of(settings) is None:
        _status = "off: no DSN"
        return None
    from pantheon_obs.sinks.sentry.client import options_for  # noqa: PLC0415 - as above

    try:
        sdk = require("sentry_sdk", extra="sentry", feature="sentry_dsn")
        sdk.init(**options_for(settings))
    except Exception as error:
        if isinstance(error, MissingExtraError) and _is_asked_for(settings):
            raise
        reason = _reason(error)
        if _status != f"off: {reason}":  # logged once, though start-up tries again
            _status = f"off: {reason}"
            with own_lines:
                _log.error("sentry_disabled", extra={"reason": reason})
        return None
    _client = sdk.get_client()
    given = settings.sentry_options or {}
    has_defaults = given.get("default_integrations", True)
    _adds_integrations = has_defaults and "auto_enabling_integrations" not in given
    rate = _client.options["traces_sample_rate"] or 0
    with own_lines:
        _log.info("sentry_initialized", extra={"traces_sample_rate": rate})
    return sdk


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return str(error)
    if isinstance(error, ValueError):  # BadDsn; its text repeats the DSN, which is a secret
        return "the DSN is malformed: use the URL with key and project that Sentry shows"
    return f"sentry_sdk.init raised {type(error).__name__}"
