"""The tests of the frameworks' own suites that end differently when everything is instrumented.

Each table has a framework's tests by their id; an id without parameters stands for all of them.
"""

from __future__ import annotations

_ALL_HEADERS = "It compares all headers of an answer, and ours is one more."
_EXPOSED = "It compares all that Access-Control-Expose-Headers lists, and ours is one more."
_ROOT_HANDLER = "Flask adds its own handler only while the root logger has none, and ours is there."
_OUR_LINES = "It counts all log records of a request, and ours are two more."
_KEPT_BY_PYTEST = (
    "pytest's log capture keeps our record of the failed request, whose traceback keeps the "
    "request object. Without that plugin (-p no:logging) the test passes."
)
_ANSWERED = (
    "The application does not answer. We send the plain 500 that a server would send "
    "(docs/asgi.md), where the test client would have none."
)

BY_DESIGN: dict[str, dict[str, str]] = {
    "starlette": {
        "tests/middleware/test_base.py::test_multiple_middlewares_stacked_client_disconnected": (
            _ALL_HEADERS
        ),
        "tests/middleware/test_cors.py::test_cors_allow_all": _EXPOSED,
        "tests/middleware/test_cors.py::test_cors_allow_all_except_credentials": _EXPOSED,
        "tests/test_exceptions.py::test_force_500_response": _ANSWERED,
        "tests/test_routing.py::test_websocket_route_middleware": _ALL_HEADERS,
        **{
            "tests/test_testclient.py::test_invalid_trailer_sequence"
            f"[{backend}-messages0-TestClient did not receive any response]": _ANSWERED
            for backend in ("asyncio", "trio")
        },
        "tests/test_websockets.py::test_additional_headers": _ALL_HEADERS,
        "tests/test_websockets.py::test_no_additional_headers": _ALL_HEADERS,
    },
    "fastapi": {
        "tests/test_telemetry/test_data.py"
        "::test_retained_context_does_not_keep_failed_request_alive": _KEPT_BY_PYTEST,
        "tests/test_telemetry/test_runtime.py"
        "::test_invalid_configuration_warns_without_disabling_providers": _OUR_LINES,
    },
    "flask": {
        "tests/test_logging.py::test_wsgi_errors_stream": _ROOT_HANDLER,
        "tests/test_logging.py::test_log_view_exception": _ROOT_HANDLER,
    },
}
"""Differences that the contract asks for. One that is gone makes the check fail."""

FAULTS: dict[str, dict[str, str]] = {}
"""Faults of ours that are known today. One that is gone is printed: take it off this list."""
