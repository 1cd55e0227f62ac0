"""Inputs that the fuzzers have found: each made a difference once."""

from __future__ import annotations

from typing import Any

START = ("send", {"type": "http.response.start", "status": 200})
BODY = ("send", {"type": "http.response.body", "body": b"x"})
NOTHING: dict[str, Any] = {"type": "http"}

ASGI: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "a scope without headers": (NOTHING, [], [START, BODY]),
    "headers that are none": ({"type": "http", "headers": None}, [], [START, BODY]),
    "headers in a tuple": ({"type": "http", "headers": ((b"a", b"b"),)}, [], [START, BODY]),
    "headers that cannot be read": ({"type": "http", "headers": 5}, [], [START, BODY]),
    "a path that is none": ({"type": "http", "path": None, "root_path": b"/"}, [], [START, BODY]),
    "a scope without a type": ({}, [], [("receive", None)]),
    "a message without a type": (NOTHING, [{}, None], [("receive", None), ("receive", None)]),
    "messages that are none": (NOTHING, [], [("send", 5), ("send", {}), START, BODY]),
    "a lifespan's message without a type": ({"type": "lifespan"}, [{}], [("receive", None)]),
    "a status that is none": (
        NOTHING,
        [],
        [("send", {"type": "http.response.start", "status": False}), BODY],
    ),
    "a body that is none": (
        NOTHING,
        [],
        [START, ("send", {"type": "http.response.body", "body": 5, "more_body": True})],
    ),
    "a body before its start": (NOTHING, [], [BODY, ("raise", LookupError("x"))]),
    "response headers that are none": (
        NOTHING,
        [],
        [("send", {"type": "http.response.start", "headers": 5}), BODY],
    ),
    "response headers that are no pairs": (
        NOTHING,
        [],
        [("send", {"type": "http.response.start", "headers": b"ff"}), BODY],
    ),
    "a version that cannot be read": ({"type": "websocket", "asgi": b"3"}, [], []),
    "a close code that is none": (
        {"type": "websocket"},
        [{"type": "websocket.disconnect", "code": "x"}],
        [("receive", None), ("send", {"type": "websocket.close", "code": None})],
    ),
}

WSGI: dict[str, tuple[dict[str, Any], list[Any], Any]] = {
    "a path that is none": ({"SCRIPT_NAME": 0, "PATH_INFO": None}, [("200 OK", [])], [b"x"]),
    "a method that is none": ({"REQUEST_METHOD": 0}, [("200 OK", [])], [b"x"]),
    "a body that is bytes": ({}, [("200 OK", [])], b"x"),
    "a body of numbers": ({}, [("200 OK", [])], [5]),
    "headers that are no pairs": ({}, [("200 OK", b"ff")], [b"x"]),
    "headers that are none": ({}, [("200 OK", 5)], [b"x"]),
    "a header that is a dict of two": ({}, [("200 OK", [{"a": 0, "b": 0}])], [b"x"]),
    "a status that is none": ({}, [(b"200 OK", [])], [b"x"]),
    "a character beyond latin-1": ({"PATH_INFO": "/\ud800\u20ac"}, [("200 OK", [])], [b"x"]),
}
