"""The options that Sentry is started with: integrations of what is in use, no secrets."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.redact import REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from pantheon_obs.core.settings import Settings

# Breadcrumbs and spans have the query strings of outgoing calls under these keys.
_QUERIES = ("http.query", "url.query", "http.fragment")
_ARGUMENTS = frozenset({"args", "kwargs"})
_between = re.compile(r"([\s\"'<>]+)").split


def options_for(settings: Settings) -> dict[str, Any]:
    """Build the arguments of `sentry_sdk.init`."""
    atexit = import_module("sentry_sdk.integrations.atexit")
    mask = masking(settings)
    options: dict[str, Any] = {
        "dsn": settings.sentry_dsn,
        "environment": settings.environment,
        "release": settings.release,
        # None turns tracing off. With 0, Sentry would still follow each caller's own decision.
        "traces_sample_rate": settings.sentry_traces_sample_rate or None,
        "include_local_variables": False,
        "max_request_body_size": "never",
        # They import every framework that is installed.
        "auto_enabling_integrations": False,
        # The default callback prints to standard error while the last events are sent.
        "integrations": [*_missing({}), atexit.AtexitIntegration(callback=lambda *_: None)],
        "before_send": mask,
        "before_send_transaction": mask,
    }
    if settings.sentry_send_default_pii:  # deprecated since 2.75, which warns even of False
        options["send_default_pii"] = True
    return options


def add_integrations(sdk: ModuleType) -> None:
    """Add to our client the integrations of what was imported since it was made."""
    active: dict[str, Any] = sdk.get_client().integrations
    missing = _missing(active)
    if missing:
        set_up = import_module("sentry_sdk.integrations").setup_integrations
        active.update(set_up(missing, with_defaults=False))


def _missing(active: dict[str, Any]) -> list[Any]:
    """Make the integrations that are not active yet, of the products that are in use."""
    return [
        getattr(import_module(f"sentry_sdk.integrations.{product.sentry[0]}"), product.sentry[1])()
        for product in PRODUCTS
        if product.sentry and product.sentry[0] not in active and _is_used(product.name)
    ]


def _is_used(name: str) -> bool:
    """Whether the application uses a product; `sentry_sdk` itself imports parts of Django."""
    if name != "django":
        return name in sys.modules
    apps = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.apps_ready)


def masking(settings: Settings) -> Callable[[dict[str, Any], object], dict[str, Any]]:
    """Make the `before_send` that masks secrets and the values of query strings in an event."""
    redactor = Redactor((*settings.redact_keys, *_QUERIES))
    pii = settings.sentry_send_default_pii

    def mask(event: dict[str, Any], _hint: object) -> dict[str, Any]:
        # Integrations add the request after the event processors have run.
        request = event.get("request") or {}
        query = request.get("query_string")
        if query:
            text = query.decode("latin-1") if isinstance(query, bytes) else str(query)
            request["query_string"] = without_values(text)
        if request.get("url"):  # Quart's contains the query again
            request["url"] = str(request["url"]).partition("?")[0]
        # Some integrations send a body although its size limit is "never".
        request.pop("data", None)
        # Commands get passwords as arguments, workers the URLs of their brokers.
        extra = event.get("extra") or {}
        extra.pop("sys.argv", None)
        if not pii and "celery-job" in extra:
            job = extra["celery-job"]
            extra["celery-job"] = {key: job[key] for key in job if key not in _ARGUMENTS}
        masked: dict[str, Any] = _mask_queries(redactor.clean(event))
        return masked

    return mask


def without_values(query: str) -> str:
    """Keep the names of a query string and redact its values."""
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={REDACTED}" if equals else REDACTED for name, equals, _ in parts)


def _mask_queries(value: Any) -> Any:  # noqa: ANN401 - plain values, as the redactor leaves them
    if type(value) is str:
        return "".join(map(_masked, _between(value))) if "?" in value else value
    if type(value) is dict:
        return {key: _mask_queries(item) for key, item in value.items()}
    if type(value) is list:
        return [_mask_queries(item) for item in value]
    return value


def _masked(word: str) -> str:
    """Redact the query's values in a word of a text that is a URL or a path."""
    head, mark, query = word.partition("?")
    is_url = "://" in head or "/" in head[:1] or "=" in query
    return f"{head}?{without_values(query)}" if mark and query and is_url else word
