"""A pytest plugin that instruments each application of a framework's own suite.

`INSTRUMENTED` names the framework. A framework's application is instrumented at its first request,
a plain callable when a test client is made for it, and a Django project whenever its middleware is
loaded. The log lines are rendered and then dropped: many tests read standard output.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from contextlib import redirect_stdout, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pantheon_obs

if TYPE_CHECKING:
    from collections.abc import Callable


class _Nowhere(io.TextIOBase):
    """Takes text and drops it. Opening a file instead would block an event loop."""

    def write(self, text: str) -> int:
        return len(text)


_nowhere = _Nowhere()
_requests = 0
_one_at_a_time = threading.RLock()  # standard output is one per process


def pytest_sessionfinish() -> None:
    """Write how many requests were traced."""
    Path(os.environ["OUTCOMES"]).with_suffix(".requests").write_text(str(_requests))


def _drop_lines() -> None:
    """Discard the output of our handler."""
    for handler in logging.getLogger().handlers:
        if type(handler).__module__.startswith("pantheon_obs.") and "handle" not in vars(handler):
            handler.handle = _without_output(handler.handle)  # type: ignore[method-assign]


def _without_output(handle: Callable[[logging.LogRecord], Any]) -> Callable[..., Any]:
    def quiet(record: logging.LogRecord) -> Any:
        global _requests  # noqa: PLW0603 - there is one count in a process
        _requests += record.msg in {"request_finished", "websocket_finished"}
        with _one_at_a_time, redirect_stdout(_nowhere):
            return handle(record)

    return quiet


def _instrument(app: Any) -> Any:
    instrumented = pantheon_obs.instrument(app, log_format="json")
    _drop_lines()
    return instrumented


def starlette() -> None:
    """Instrument Starlette's and FastAPI's applications, and the test client's plain ones."""
    from starlette.applications import Starlette  # noqa: PLC0415 - only in its own suite
    from starlette.testclient import TestClient  # noqa: PLC0415 - as above

    call = Starlette.__call__

    @wraps(call)
    async def call_instrumented(self: Any, *args: Any) -> None:
        await call(_instrument(self), *args)

    Starlette.__call__ = call_instrumented
    init = TestClient.__init__

    @wraps(init)
    def init_with_instrumented(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(app, Starlette):
            with suppress(pantheon_obs.ConfigError):  # some tests pass no ASGI 3 callable
                app = _instrument(app)
        init(self, app, *args, **kwargs)

    TestClient.__init__ = init_with_instrumented


def flask() -> None:
    """Instrument Flask's applications."""
    from flask import Flask  # noqa: PLC0415 - only in its own suite

    call = Flask.__call__
    Flask.__call__ = wraps(call)(lambda self, *args: call(_instrument(self), *args))


def djangorestframework() -> None:
    """Add the app and the middleware to the settings of a Django project."""
    from django.conf import settings  # noqa: PLC0415 - only in its own suite
    from django.core.handlers.base import BaseHandler  # noqa: PLC0415 - as above

    adapter = "pantheon_obs.adapters.django"
    configure = settings.configure

    def configure_with_app(*args: Any, **options: Any) -> None:
        options["INSTALLED_APPS"] = (adapter, *options["INSTALLED_APPS"])
        options["PANTHEON_OBS"] = {"log_format": "json"}
        configure(*args, **options)

    # A plain attribute would be one of the settings.
    type(settings).configure = lambda self, *args, **options: configure_with_app(*args, **options)
    load = BaseHandler.load_middleware

    def load_with_middleware(self: Any, *args: Any, **kwargs: Any) -> None:
        # Tests replace MIDDLEWARE, so that it is completed where it is read.
        middleware = (f"{adapter}.TraceIdMiddleware", *settings.MIDDLEWARE)
        with mock.patch.object(settings, "MIDDLEWARE", middleware):
            load(self, *args, **kwargs)
        _drop_lines()

    BaseHandler.load_middleware = load_with_middleware


pantheon_obs.configure_logging(log_format="json")
_drop_lines()
{"starlette": starlette, "fastapi": starlette, "flask": flask}.get(
    os.environ["INSTRUMENTED"], djangorestframework
)()
