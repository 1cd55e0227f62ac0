"""A stand-in for a WSGI server, for steps that no real server takes on request."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TEXT = [("Content-Type", "text/plain")]


class Server:
    """Stands in for a server, for one request.

    Args:
        app: The app, which has our middleware already.
        environ: Keys that the environ has besides the usual ones.

    Attributes:
        started: The arguments of each call of `start_response`.
        written: The parts that came through the `write` callable.
        body: The app's return value.
    """

    def __init__(self, app: Any, **environ: Any) -> None:
        self.app = app
        self.environ: dict[str, Any] = {
            "wsgi.input": io.BytesIO(),
            "SCRIPT_NAME": "",
            "PATH_INFO": "/",
            **environ,
        }
        setup_testing_defaults(self.environ)
        self.environ.setdefault("QUERY_STRING", "")
        self.started: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []
        self.sent: list[bytes] = []
        self.body: Any = None

    def start_response(self, *arguments: Any) -> Callable[[bytes], object]:
        """Take the start of a response; a second start needs the error that is its reason."""
        if len(arguments) > 2 and self.sent:
            raise arguments[2][1]
        self.started.append(arguments)
        return self.write

    def write(self, data: bytes) -> None:
        """Take a part of the body."""
        self.written.append(data)

    def call(self) -> Any:
        """Call the app without reading the body."""
        self.body = self.app(self.environ, self.start_response)
        return self.body

    def read(self) -> list[bytes]:
        """Read the whole body."""
        for part in self.body:
            if part:
                self.sent.append(part)
        return self.sent

    def close(self) -> None:
        """Close the body, as a server must."""
        self.body.close()

    def serve(self) -> BaseException | None:
        """Serve the request; return the error that escapes to the server, if any."""
        try:
            self.call()
            try:
                self.read()
            finally:
                if hasattr(self.body, "close"):
                    self.close()
        except BaseException as error:  # noqa: BLE001 - a server takes whatever comes
            return error
        return None

    @property
    def status(self) -> str:
        """The status of the response that counts."""
        status: str = self.started[-1][0]
        return status

    @property
    def ids(self) -> list[str]:
        """The id's headers of the response that counts."""
        return [value for name, value in self.started[-1][1] if name.lower() == "x-trace-id"]


def returns(body: Any, status: str = "200 OK", headers: Any = None) -> Callable[..., Any]:
    """Make an app that starts its response and returns this body."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [*TEXT] if headers is None else headers)
        return body

    return app


def raises(error: BaseException) -> Callable[..., Any]:
    """Make an app that fails before its response."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise error

    return app


def yields(*parts: bytes | BaseException, status: str = "200 OK") -> Callable[..., Any]:
    """Make an app that starts its response when it is first asked for a part."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, [*TEXT])
        for part in parts:
            if isinstance(part, BaseException):
                raise part
            yield part

    return app


def endings(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the outcome, status and error type of each request."""
    return [
        (event["outcome"], event.get("status_code"), event.get("error_type"))
        for event in events
        if event["event"] == "request_finished"
    ]
