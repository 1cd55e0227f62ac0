"""Errors: exceptions of SDKs, and bodies that report one although the HTTP status is 200.

Only machine-readable fields are read. A message may have anything private in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orjson import JSONDecodeError, loads

from pantheon_obs.llm.usage.fields import Memo, either, field, has

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.answer import Reported

UNKNOWN = "ProviderError"

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_.:/+=-]{1,128}")
_FAILURE = re.compile(r"(?i)(error|failed|timeout)(_.*)?")
_STATUSES = range(400, 600)
# The headers of a provider's own id end in one of these; the first kind counts. A client's id,
# which some providers send back, does not.
_ID_HEADERS = tuple(
    re.compile(kind) for kind in ("x-request-?id", ".*request-?id", ".*(trace|correlation)-?id")
)
_CLIENTS_ID = re.compile(".*client")


def beside_answer(value: Any, reported: Reported) -> Any:
    """Read an error that comes in the place of an answer, or beside a part of one."""
    error = field(value, "error")
    if not error or not (isinstance(error, (dict, str)) or either(error, "code", "message")):
        return False
    set_error(error, reported)
    reported.request_id = _id(field(value, "request_id"))
    reported.content = True
    return field(value, "usage")


def whole_body(value: Any, reported: Reported) -> Any:
    """Read a body that is an error, as vLLM and Mistral send it."""
    is_error = field(value, "object") == "error"
    if is_error:
        set_error(value, reported)
        reported.content = True
    return None if is_error else False


def no_answer(value: Any, reported: Reported) -> Any:
    """Note that an SDK has made an answer of a body which has nothing of one.

    All fields that its class requires are missing.
    """
    names = _required[type(value)]
    reported.no_answer = bool(names) and all(field(value, name) is None for name in names)
    return None if reported.no_answer else False


def _list_required(kind: Any) -> tuple[str, ...]:
    """List the fields that objects of a class of pydantic must have."""
    fields = getattr(kind, "__pydantic_fields__", None) or {}
    return tuple(name for name, declared in fields.items() if declared.is_required())


_required = Memo(_list_required)


def error_type_of(reported: Reported) -> str | None:
    """Return the type of the error that came in the place of an answer, or None."""
    reason = reported.finish_reason
    if reported.error_type is not None:
        return reported.error_type
    if reason is None:
        return UNKNOWN if reported.no_answer and reported.finished is None else None
    return UNKNOWN if _is_failure[reason] else None


# Whether a model stopped because of a failure: `error`, Cohere's `ERROR_LIMIT` and so on.
_is_failure = Memo(lambda reason: _FAILURE.fullmatch(reason) is not None)


def set_error(error: Any, reported: Reported) -> None:
    """Keep the type, code and status of an error within a body."""
    kind, code, status = _named(error, "type", "code", "status")
    reported.error_type = _code(kind) or _code(code) or _code(status) or UNKNOWN
    reported.error_code = _code(code) or _code(status) or _code(kind)
    reported.error_status = _status(code, status)


def read_exception(error: BaseException, reported: Reported) -> None:
    """Read an exception of an SDK: OpenAI's, Anthropic's, Google's, botocore's and similar ones."""
    if has(error, "trailing_metadata"):  # gRPC's, which report by methods
        call: Any = error
        reported.error_code = _code(getattr(call.code(), "name", None))
        reported.request_id = _id(*_from_headers(dict(call.trailing_metadata() or ())))
        return
    response, body = field(error, "response"), _parsed(field(error, "body"))
    inner = either(body, "error") or either(response, "Error") or body
    metadata = field(response, "ResponseMetadata")
    reported.error_status = _status(
        *_named(error, "status_code", "http_status", "code", "status"),
        field(response, "status_code"),
        field(metadata, "HTTPStatusCode"),
        field(inner, "code"),
    )
    codes = [
        *_named(error, "provider_code", "code"),  # the first is lm15's
        *_named(inner, "code", "Code", "status", "type"),
        *_named(error, "type", "status"),
    ]
    reported.error_code = next(filter(None, map(_code, codes)), None)
    reported.request_id = _id(
        *_named(error, "request_id", "_request_id"),
        field(body, "request_id"),
        field(metadata, "RequestId"),
        *_from_headers(field(response, "headers")),
        *_from_headers(field(error, "headers")),
        *_from_headers(field(metadata, "HTTPHeaders")),
    )


def _parsed(body: Any) -> Any:
    """Return the value of a body: Mistral's is text, and Gemini's in OpenAI's style is a list."""
    if isinstance(body, str):
        try:
            body = loads(body)
        except JSONDecodeError:
            return None
    return body[0] if isinstance(body, list) and body else body


def _named(value: Any, *names: str) -> list[Any]:
    return [field(value, name) for name in names]


def _from_headers(headers: Any) -> list[Any]:
    """Return the ids of a request among headers, the most usual one first."""
    items: Any = getattr(headers, "items", None)
    if not callable(items):
        return []
    found: Any = items()
    named = [(name.lower(), value) for name, value in found if isinstance(name, str)]
    ids = [one for one in named if not _CLIENTS_ID.match(one[0])]
    return [value for kind in _ID_HEADERS for name, value in ids if kind.fullmatch(name)]


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
