"""Responses that only a real WSGI server can test: files that it sends itself, and late errors."""

from __future__ import annotations

from functools import partial
from typing import Any

from pantheon_obs import instrument
from tests.apps import common


def service(environ: dict[str, Any], start_response: Any) -> Any:
    """Send a file; or start a response, and then fail."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    if name == "file":
        file = open(environ["HTTP_X_FILE"], "rb")  # noqa: SIM115, PTH123 - the server closes it
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return environ["wsgi.file_wrapper"](file)
    if name == "ok":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "5")])
    raise OSError(name)


instrumented = instrument(service)


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """Log the type of the instrumented response; hide the server's function if the path says so."""
    if environ["PATH_INFO"].startswith("/hidden"):
        start_response = partial(start_response)
    response = instrumented(environ, start_response)
    is_file = isinstance(response, environ["wsgi.file_wrapper"])
    common.log.info("handed_over", extra={"is_file": is_file})
    return response
