"""Errors that extensions of Flask announce as unhandled, and Sentry's own integration captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response
from werkzeug.exceptions import NotFound
from werkzeug.test import Client

from pantheon_obs import instrument

if TYPE_CHECKING:
    from tests.sinks.receiver import Receiver

sentry_sdk = pytest.importorskip("sentry_sdk")
flask_restful = pytest.importorskip("flask_restful")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param("abort", [], id="abort"),
        pytest.param("boom", ["ZeroDivisionError"], id="unhandled"),
        pytest.param("capture", ["NotFound"], id="captured-by-the-application"),
    ],
)
def test_sentry_gets_no_abort_that_an_extension_announces(
    receiver: Receiver, what: str, expected: list[str]
) -> None:
    """Events that the application captures itself are sent, and so are unhandled errors."""
    app = Flask("shop")
    # In a test Flask would raise an error that nobody handles.
    app.config["PROPAGATE_EXCEPTIONS"] = False

    class Order(flask_restful.Resource):  # type: ignore[misc]  # it has no types
        def get(self) -> Any:
            if what == "capture":
                sentry_sdk.capture_exception(NotFound())
                return {}
            raise {"abort": NotFound, "boom": ZeroDivisionError}[what]

    flask_restful.Api(app).add_resource(Order, "/order")
    Client(instrument(app, sentry_dsn=receiver.dsn), Response).get("/order", buffered=True)
    sentry_sdk.flush()

    assert expected == [event["exception"]["values"][-1]["type"] for event in receiver.events]
