"""Nothing that a client, a server or an application sends makes a difference but our header."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import corpus
from tests.fuzz.doors import check_asgi, check_wsgi

RUNNER = asyncio.Runner()
NAMES = ("x-trace-id", "x-request-id", "traceparent", "sentry-trace", "host", "content-length")
IDS = ("job-1", "a" * 128, "a" * 129, "a" * 65536, "a\r\nx: y", "é", "a, b", "")

hexes = st.text("0123456789abcdefABCDEFg-", max_size=40)
traceparents = st.builds("-".join, st.lists(hexes, min_size=1, max_size=6)) | st.builds(
    "00-{}-{}-01{}".format,
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.sampled_from(["", "-", "-x"]),
)
names = st.sampled_from(NAMES).map(str.encode)
any_name = names | names.map(bytes.title) | st.binary(max_size=12)
any_value = (
    st.binary(max_size=64)
    | st.sampled_from(IDS).map(lambda text: text.encode("latin-1"))
    | traceparents.map(str.encode)
)
junk = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.lists(st.integers() | st.text(max_size=3), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)
pairs = st.tuples(any_name, any_value)
headers = st.lists(pairs | pairs.map(list), max_size=8)
any_headers = headers | headers.map(tuple) | st.lists(junk, max_size=3) | junk
paths = st.text(max_size=30).map("/".__add__)
scopes = st.fixed_dictionaries(
    {"type": st.sampled_from(["http", "http", "http", "websocket", "lifespan", "tcp"])},
    optional={
        "headers": any_headers,
        "method": st.sampled_from(["GET", "POST", "get", "\x1b[31m"]) | junk,
        "path": paths | junk,
        "root_path": paths | junk,
        "raw_path": st.binary(max_size=8) | junk,
        "query_string": st.binary(max_size=8) | junk,
        "state": st.dictionaries(st.text(max_size=3), st.integers(), max_size=2) | junk,
        "extensions": junk,
        "asgi": junk | st.just({"version": "3.0"}),
        "client": st.tuples(st.text(max_size=9), st.integers()) | junk,
        "route": junk,
        "endpoint": junk,
        "path_template": junk,
        "app_root_path": junk,
        "router": junk,
    },
)
kinds = st.sampled_from(
    ["http.response.start", "http.response.body", "http.response.trailers", "websocket.accept"]
)
messages = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "status": st.integers(100, 599) | junk,
        "headers": any_headers,
        "body": st.binary(max_size=8) | junk,
        "more_body": st.booleans() | junk,
    },
)
inbound = st.lists(
    st.sampled_from(
        [
            {"type": "http.request", "body": b"x", "more_body": False},
            {"type": "http.disconnect"},
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "x"},
            {"type": "websocket.disconnect", "code": 1001},
        ]
    )
    | junk
    | st.dictionaries(st.text(max_size=4), junk, max_size=2),
    max_size=3,
)
steps = (
    st.tuples(st.just("send"), messages)
    | st.tuples(st.just("send"), junk)
    | st.just(("receive", None))
    | st.builds(
        lambda kind: ("raise", kind("x")), st.sampled_from([LookupError, OSError, TypeError])
    )
)


@given(scope=scopes, inbound=inbound, script=st.lists(steps, max_size=6))
def test_an_asgi_connection_is_served_as_without_us(
    scope: dict[str, Any], inbound: list[Any], script: list[Any]
) -> None:
    """The application sees the scope and the messages; the server gets the application's."""
    check_asgi(RUNNER, scope, inbound, script)


@pytest.mark.parametrize("name", corpus.ASGI)
def test_an_asgi_connection_of_the_corpus_is_served_as_without_us(name: str) -> None:
    """Each made a difference once."""
    check_asgi(RUNNER, *copy.deepcopy(corpus.ASGI[name]))


latin = st.text(st.characters(max_codepoint=255), max_size=20)
wide = latin | st.text(max_size=10)
environs = st.fixed_dictionaries(
    {},
    optional={
        "REQUEST_METHOD": st.sampled_from(["GET", "HEAD", "POST"]) | wide | junk,
        "SCRIPT_NAME": wide | junk,
        "PATH_INFO": wide | junk,
        "QUERY_STRING": wide | junk,
        "HTTP_X_TRACE_ID": wide | st.sampled_from(IDS) | junk,
        "HTTP_X_REQUEST_ID": wide | st.sampled_from(IDS) | junk,
        "HTTP_TRACEPARENT": traceparents | wide | junk,
        "HTTP_SENTRY_TRACE": wide | junk,
        "HTTP_UPGRADE": wide | junk,
        "wsgi.input": junk,
        "wsgi.file_wrapper": junk,
    },
)
text_headers = st.lists(
    st.tuples(st.sampled_from(NAMES).map(str.title) | latin, latin | st.sampled_from(IDS)),
    max_size=5,
)
responses = st.tuples(
    st.sampled_from(["200 OK", "204 No Content", "500 x", "404"]) | wide | junk,
    text_headers | text_headers.map(tuple) | st.lists(junk, max_size=3) | junk,
)
raised = st.builds(lambda kind: kind("x"), st.sampled_from([LookupError, OSError, ValueError]))
part = st.binary(max_size=8) | junk


def generated(parts: list[Any]) -> Any:
    """Make a function that returns a generator of these parts."""

    def generate() -> Any:
        for each in parts:
            if isinstance(each, Exception):
                raise each
            yield each

    return generate


bodies = st.lists(part, max_size=4) | st.lists(part | raised, max_size=4).map(generated) | junk


@given(environ=environs, starts=st.lists(responses | raised, max_size=2), body=bodies)
def test_a_wsgi_request_is_served_as_without_us(
    environ: dict[str, Any], starts: list[Any], body: Any
) -> None:
    """The application sees the environ; the server gets the application's response."""
    check_wsgi(environ, (starts, body))


@pytest.mark.parametrize("name", corpus.WSGI)
def test_a_wsgi_request_of_the_corpus_is_served_as_without_us(name: str) -> None:
    """Each made a difference once."""
    environ, starts, body = corpus.WSGI[name]
    check_wsgi({**environ}, (starts, body))
