"""Applications that take the server's connection over; without the library if the path says so.

gunicorn and Werkzeug's server give the application their socket, and expect an exception at the
end. Other servers expect a return without `start_response`. The sample applications have no handler
that gets the connection, and are always instrumented.
"""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask
from flask_sock import Sock
from werkzeug.serving import run_simple

from pantheon_obs import instrument

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"


def flask_app() -> Flask:
    """Make an app with a websocket of flask-sock."""
    app = Flask("shop")

    @Sock(app).route("/echo")
    def echo(ws: Any) -> None:
        ws.send(f"hello {ws.receive()}")

    return app


def raw(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer on the socket, and end as the path says."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    if name == "ok":
        start_response("204 No Content", [])
        return []
    connection = environ.get("gunicorn.socket") or environ["werkzeug.socket"]
    connection.sendall(SWITCHED + b"frames")
    if name == "stop":
        raise StopIteration
    raise ConnectionError if name == "error" else ConnectionResetError(104, "gone")


_apps = {
    "flask": (flask_app(), instrument(flask_app())),
    "raw": (raw, instrument(raw)),
}


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """Choose by the path, which begins with `/bare/flask` or `/ours/raw`, for example."""
    _, who, kind, path = environ["PATH_INFO"].split("/", 3)
    environ["PATH_INFO"] = f"/{path}"
    return _apps[kind][who == "ours"](environ, start_response)


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
