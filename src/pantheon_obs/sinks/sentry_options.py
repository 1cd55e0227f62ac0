"""The options that Sentry is started with: ours are defaults, and the application's own win."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.names import nearest
from pantheon_obs.sinks.sentry_masking import masking
from pantheon_obs.sinks.sentry_scope import tag_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pantheon_obs.core.settings import Settings

_CONSTRUCTOR = "ClientConstructor"  # the SDK's list of its options
_LOG_HOOK = "before_send_log"
_HOOKS = ("before_send", "before_send_transaction", _LOG_HOOK, "before_send_metric")
_SPAN_HOOK = "before_send_span"  # the SDK warns of it unless spans are sent one by one

_guard = Guard("sentry logs")


def dsn_of(settings: Settings) -> str | None:
    """Return the DSN, which may be among Sentry's own options; None for a blank one."""
    options = settings.sentry_options or {}
    dsn = options.get("dsn", settings.sentry_dsn)
    return (str(dsn).strip() or None) if dsn is not None else None


def refuse_unknown(names: Collection[str], others: Iterable[str] = ()) -> None:
    """Raise `ConfigError` for a name that is no option of `sentry_sdk.init`.

    `others` are names that would be accepted, too.
    """
    known = _names() if names else frozenset()
    for name in names:
        if known and name not in known:
            meant = nearest(name, (*others, *known))
            hint = "see its documentation" if meant is None else f"did you mean {meant!r}?"
            msg = f"{name!r} is no option of sentry_sdk.init: {hint}"
            raise ConfigError(msg)


def _names() -> frozenset[str]:
    """Read the names from the SDK's source, as it is not imported without a DSN."""
    spec = find_spec("sentry_sdk")
    if spec is None or spec.submodule_search_locations is None:
        return frozenset()
    source = Path(spec.submodule_search_locations[0], "consts.py").read_bytes()
    constructor = next(
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == _CONSTRUCTOR
    )
    arguments = (node for node in ast.walk(constructor) if isinstance(node, ast.arg))
    return frozenset(argument.arg for argument in arguments) - {"self"}


def options_for(settings: Settings) -> dict[str, Any]:
    """Build the arguments of `sentry_sdk.init`."""
    given: Mapping[str, Any] = settings.sentry_options or {}
    options: dict[str, Any] = {
        "environment": settings.environment,
        "release": settings.release,
        # None turns tracing off. With 0, Sentry would still follow each caller's own decision.
        "traces_sample_rate": settings.sentry_traces_sample_rate or None,
        "include_local_variables": False,
        "max_request_body_size": "never",
        # They import every framework that is installed; `sentry_integrations` adds those in use.
        "auto_enabling_integrations": False,
    }
    if settings.sentry_send_default_pii:  # deprecated since 2.75, which warns even of False
        options["send_default_pii"] = True
    options |= {**given, "dsn": dsn_of(settings)}
    mask = masking(settings)
    hooks = [*_HOOKS, _SPAN_HOOK] if given.get("trace_lifecycle") == "stream" else _HOOKS
    known = import_module("sentry_sdk.consts").DEFAULT_OPTIONS
    for hook in filter(known.__contains__, hooks):
        own = given.get(hook) or (given.get("_experiments") or {}).get(hook)
        last = _tagged(mask) if hook == _LOG_HOOK else mask
        options[hook] = last if own is None else _masked_after(own, last)
    integrations = list(given.get("integrations") or ())
    has_own = any(integration.identifier == "atexit" for integration in integrations)
    if given.get("default_integrations", True) and not has_own:
        # The default callback prints to standard error while the last events are sent.
        atexit = import_module("sentry_sdk.integrations.atexit")
        integrations.append(atexit.AtexitIntegration(callback=lambda *_: None))
    options["integrations"] = integrations
    return options


def _tagged(mask: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - a hook of Sentry's
    """Put the trace on a log before it is masked; event processors do that for events."""

    def hook(log: Any, hint: Any) -> Any:  # noqa: ANN401 - Sentry's
        with _guard:
            tag_log(log)
        return mask(log, hint)

    return hook


def _masked_after(own: Callable[[Any, Any], Any], mask: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - a hook of Sentry's
    """Let the application's own hook change or drop an event before it is masked."""

    def hook(event: Any, hint: Any) -> Any:  # noqa: ANN401 - Sentry's
        kept = own(event, hint)
        return None if kept is None else mask(kept, hint)

    return hook
