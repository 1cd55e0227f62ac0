"""A plain WSGI callable: Sentry has no integration that knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pantheon_obs import instrument
from tests.bugsink.apps import failures

if TYPE_CHECKING:
    from collections.abc import Iterable


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Fail as the path says."""
    status = "200 OK"
    body: Iterable[bytes] = []
    match environ["PATH_INFO"].split("/")[1:]:
        case ["sentry-debug", ""]:
            sent = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            failures.divide(sent, environ["HTTP_AUTHORIZATION"])
        case ["stream"]:
            body = failures.parts()
        case ["thread"]:
            failures.in_a_thread()
        case ["logged"]:
            query = parse_qs(environ["QUERY_STRING"])
            failures.logged(query["how"][0], int(query["order"][0]))
        case ["meet", name]:
            failures.meet(name)
        case ["handled"]:
            status = "503 Service Unavailable"
        case ["llm"]:
            failures.llm()
    start_response(status, [])
    return body


app = instrument(service)
