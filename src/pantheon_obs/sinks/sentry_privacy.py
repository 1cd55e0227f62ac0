"""What is taken out of an event before it is sent: secrets, and what query strings say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact import REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

# What calls to others carry in their query strings is in breadcrumbs and spans.
_QUERIES = ("http.query", "url.query", "http.fragment")
_ARGUMENTS = frozenset({"args", "kwargs"})
_between = re.compile(r"([\s\"'<>]+)").split


def masking(settings: Settings) -> Callable[[dict[str, Any], object], dict[str, Any]]:
    """What Sentry is to call with an event, or a transaction, as the last before it is sent.

    Args:
        settings: Which keys to redact besides the built-in list; whether personal data is sent.
    """
    redactor = Redactor((*settings.redact_keys, *_QUERIES))
    pii = settings.sentry_send_default_pii

    def mask(event: dict[str, Any], _hint: object) -> dict[str, Any]:
        # Integrations put the request in after the event processors have run.
        request = event.get("request") or {}
        if request.get("query_string"):
            request["query_string"] = without_values(_text(request["query_string"]))
        if request.get("url"):  # Quart's has it once more
            request["url"] = str(request["url"]).partition("?")[0]
        # The size that is never sent does not keep each integration from sending a body.
        request.pop("data", None)
        # Commands are given passwords, workers the URLs of their brokers.
        extra = event.get("extra") or {}
        extra.pop("sys.argv", None)
        if not pii and "celery-job" in extra:
            job = extra["celery-job"]
            extra["celery-job"] = {key: job[key] for key in job if key not in _ARGUMENTS}
        masked: dict[str, Any] = _mask_queries(redactor.clean(event))
        return masked

    return mask


def _text(query: object) -> str:
    return query.decode("latin-1") if isinstance(query, bytes) else str(query)


def without_values(query: str) -> str:
    """A query string with its names only."""
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
    """A word of a text, without the values of its query if it is a URL or a path with one."""
    head, mark, query = word.partition("?")
    is_url = "://" in head or "/" in head[:1] or "=" in query
    return f"{head}?{without_values(query)}" if mark and query and is_url else word
