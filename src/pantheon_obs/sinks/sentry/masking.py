"""Remove secrets, the values of query strings and most headers from the events for Sentry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact.redactor import REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

# Breadcrumbs and spans have the query strings of outgoing calls under these keys.
_QUERIES = ("http.query", "url.query", "http.fragment")
# The headers that are sent; any other may name a person, or contain a secret of the application's.
_HEADERS = frozenset({
    "accept", "accept-encoding", "accept-language", "connection", "content-encoding",
    "content-length", "content-type", "host", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_HEADER_ATTRIBUTE = "http.request.header."
_CALL = frozenset({"args", "kwargs", "description"})
_between = re.compile(r"([\s\"'<>]+)").split


def masking(settings: Settings) -> Callable[[dict[str, Any], object], dict[str, Any]]:
    """Make the last step of an event, transaction, log or span before it is sent."""
    redactor = Redactor((*settings.redact_keys, *_QUERIES))
    options = settings.sentry_options or {}
    is_private = not options.get("send_default_pii", settings.sentry_send_default_pii)
    has_no_body = options.get("max_request_body_size", "never") == "never"

    def mask(event: dict[str, Any], _hint: object) -> dict[str, Any]:
        # Integrations add the request after the event processors have run.
        request = event.get("request") or {}
        query = request.get("query_string")
        if query:
            text = query.decode("latin-1") if isinstance(query, bytes) else str(query)
            request["query_string"] = without_values(text)
        if request.get("url"):  # Quart's contains the query again
            request["url"] = str(request["url"]).partition("?")[0]
        if has_no_body:  # some integrations send it in spite of that
            request.pop("data", None)
        extra = event.get("extra") or {}
        extra.pop("sys.argv", None)  # commands get passwords as arguments
        if is_private:
            _leave_out_personal(event, request, extra)
        # Workers get the URLs of their brokers as arguments.
        masked: dict[str, Any] = _mask_queries(redactor.clean(event))
        return masked

    return mask


def _leave_out_personal(
    event: dict[str, Any], request: dict[str, Any], extra: dict[str, Any]
) -> None:
    """Remove data of integrations that may identify a person."""
    headers = request.get("headers")
    if headers:
        request["headers"] = {name: headers[name] for name in headers if name.lower() in _HEADERS}
    request.pop("cookies", None)
    if "REMOTE_ADDR" in (request.get("env") or {}):
        del request["env"]["REMOTE_ADDR"]
    for name, job in extra.items():  # of Celery, rq, arq, huey …
        if name.endswith("-job") and isinstance(job, dict):
            extra[name] = {key: job[key] for key in job if key not in _CALL}
    for span in event.get("spans") or ():
        if str(span.get("op")).startswith("middleware."):
            # A `functools.partial` in it shows all headers of the request.
            span["description"] = str(span.get("description")).partition("(")[0]
    attributes = event.get("attributes") or {}
    for name in [name for name in attributes if name.startswith(_HEADER_ATTRIBUTE)]:
        if name.removeprefix(_HEADER_ATTRIBUTE) not in _HEADERS:
            del attributes[name]


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
