"""Mask secrets and the values of query strings in an event before it is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact import REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

# Breadcrumbs and spans have the query strings of outgoing calls under these keys.
_QUERIES = ("http.query", "url.query", "http.fragment")
_ARGUMENTS = frozenset({"args", "kwargs"})
_between = re.compile(r"([\s\"'<>]+)").split


def masking(settings: Settings) -> Callable[[dict[str, Any], object], dict[str, Any]]:
    """Make the `before_send` of events and transactions, the last step before sending.

    Args:
        settings: Which keys to redact besides the built-in list; whether personal data is sent.
    """
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
