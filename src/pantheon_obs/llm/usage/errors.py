"""Errors: exceptions of SDKs, and bodies that report one although the HTTP status is 200.

Only what is meant for machines is read. A message may have anything private in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import either, field

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

UNKNOWN = "ProviderError"

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_.:/+=-]{1,128}")
_STATUSES = range(400, 600)
_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid")


def answer(value: Any, reported: Reported) -> Any:
    """Read an error that comes in the place of an answer, or beside a part of one."""
    error = field(value, "error")
    if not error or not (isinstance(error, (dict, str)) or either(error, "code", "message")):
        return False
    set_error(error, reported)
    reported.content = True
    return field(value, "usage")


def set_error(error: Any, reported: Reported) -> None:
    """Keep the type, code and status of an error within a body."""
    kind, code = field(error, "type"), field(error, "code")
    reported.error_type = _code(kind) or _code(code) or UNKNOWN
    reported.error_code = _code(code) or _code(kind)
    reported.error_status = _status(code, field(error, "status"))


def read_exception(error: BaseException, reported: Reported) -> None:
    """Read an exception of an SDK: OpenAI's, Anthropic's, Google's, botocore's and similar ones."""
    response, body = field(error, "response"), field(error, "body")
    inner = either(body, "error") or either(response, "Error") or body
    metadata = field(response, "ResponseMetadata")
    reported.error_status = _status(
        *(field(error, name) for name in ("status_code", "http_status", "code", "status")),
        field(response, "status_code"),
        field(metadata, "HTTPStatusCode"),
    )
    codes = [*_named(error, "code"), *_named(inner, "code", "Code", "type"), *_named(error, "type")]
    reported.error_code = next(filter(None, map(_code, [*codes, field(error, "status")])), None)
    reported.request_id = _id(
        *_named(error, "request_id", "_request_id"),
        field(body, "request_id"),
        field(metadata, "RequestId"),
        *_from_headers(field(response, "headers")),
    )


def _named(value: Any, *names: str) -> list[Any]:
    return [field(value, name) for name in names]


def _from_headers(headers: Any) -> list[Any]:
    get = getattr(headers, "get", None)
    return [get(name) for name in _ID_HEADERS] if callable(get) else []


def _status(*values: object) -> int | None:
    """Return the first of these that is the status of an HTTP error."""
    return next((value for value in values if type(value) is int and value in _STATUSES), None)


def _code(value: object) -> str | None:
    """Return a code for machines as text; None if it is none, or an HTTP status."""
    if type(value) is int and value not in _STATUSES:
        value = str(value)
    return str(value) if isinstance(value, str) and _CODE.fullmatch(value) else None


def _id(*values: object) -> str | None:
    fitting = (value for value in values if isinstance(value, str) and _ID.fullmatch(value))
    return next(fitting, None)
