"""The five tests that the project started from, under their names, on the example service."""

from __future__ import annotations

import os
import unittest
import uuid
from unittest.mock import patch

import pytest
from starlette.testclient import TestClient

from examples.fastapi_app.app import app

DSN = "https://public@sentry.example/1"


class ObservabilityTests(unittest.TestCase):
    """The tests use the live application with its lifespan, and SQLite in memory."""

    def test_trace_id_generated_when_absent(self) -> None:
        """A request without an id gets one back that has the length of a UUID."""
        with TestClient(app) as client:
            response = client.get("/api/v1/health")
        self.assertEqual(200, response.status_code)
        self.assertIn("x-trace-id", response.headers)
        self.assertEqual(36, len(response.headers["x-trace-id"]))

    def test_trace_id_propagated_when_present(self) -> None:
        """A request's own id comes back as it was sent."""
        with TestClient(app) as client:
            response = client.get("/api/v1/health", headers={"X-Trace-ID": "my-custom-id"})
        self.assertEqual("my-custom-id", response.headers["x-trace-id"])

    def test_trace_id_is_valid_uuid_when_generated(self) -> None:
        """A generated id is a UUID in its usual form."""
        with TestClient(app) as client:
            trace_id = client.get("/api/v1/health").headers["x-trace-id"]
        self.assertEqual(trace_id, str(uuid.UUID(trace_id)))

    def test_trace_id_present_on_error_response(self) -> None:
        """A 404 carries an id too."""
        with TestClient(app) as client:
            response = client.get("/api/v1/does-not-exist")
        self.assertEqual(404, response.status_code)
        self.assertIn("x-trace-id", response.headers)

    def test_sentry_initialized_when_dsn_set(self) -> None:
        """A DSN that is set before the lifespan begins starts Sentry once, with that DSN."""
        pytest.importorskip("sentry_sdk")
        self.addCleanup(os.environ.pop, "SENTRY_DSN", None)
        os.environ["SENTRY_DSN"] = DSN
        with (
            patch("sentry_sdk.init") as init,
            TestClient(app, raise_server_exceptions=False),
        ):
            pass
        init.assert_called_once()
        self.assertEqual(DSN, init.call_args.kwargs["dsn"])
