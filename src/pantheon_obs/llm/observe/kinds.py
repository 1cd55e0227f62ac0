"""Tell by the methods of a class how its objects give the answer of a call."""

from __future__ import annotations

from typing import Any

_BY_METHOD = (
    ("__next__", "stream"),
    ("__anext__", "stream"),
    ("__aiter__", "stream"),
    ("add_done_callback", "future"),
    ("__await__", "entered"),
)
# A class with one of these is a container: iterating it yields its parts, not chunks of an answer.
_CONTAINER_MARKS = ("__len__", "__getitem__", "__dataclass_fields__")
# A class with one of these is a model of pydantic 2 or 1: iterating it yields its fields.
_MODEL_MARKS = ("__pydantic_fields__", "__fields__")
# A class with one of these is a resource, an image for example, that a `with` only closes.
_RESOURCE_MARKS = ("close", "aclose")
# A class with all of these is the body of a response of botocore's.
_BODY_MARKS = ("read", "iter_chunks", "iter_lines")


def kind_of(cls: Any) -> str:
    """Return the name of the first kind that fits."""
    if cls.__module__ == "unittest.mock":
        return "bare"  # a mock has every method, whatever it stands for
    if all(hasattr(cls, mark) for mark in _BODY_MARKS):
        return "body"
    for method, kind in _BY_METHOD:
        if hasattr(cls, method):
            return kind
    return _unread(cls)


def _unread(cls: Any) -> str:
    """Return the kind of an object that is neither read in steps nor awaited."""
    if hasattr(cls, "http_request") and hasattr(cls, "parse"):
        return "raw"
    if hasattr(cls, "__iter__") and not any(hasattr(cls, mark) for mark in _MODEL_MARKS):
        return "container" if any(hasattr(cls, mark) for mark in _CONTAINER_MARKS) else "stream"
    entered = hasattr(cls, "__enter__") or hasattr(cls, "__aenter__")
    return "manager" if entered and not any(hasattr(cls, m) for m in _RESOURCE_MARKS) else "object"
