"""The names, labels and buckets of all metrics, each with the convention that it is from.

Prometheus writes OpenTelemetry's names with underscores and the unit:
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from __future__ import annotations

from typing import NamedTuple

STABLE = "OpenTelemetry semantic conventions 1.45, stable"
GEN_AI = "OpenTelemetry semantic-conventions-genai 0.1.0, in development"
OURS = "pantheon-obs"

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_WEBSOCKET_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 14400)
_MODEL_SECONDS = tuple(0.01 * 2**power for power in range(14))  # to 81.92
_DATABASE_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
_TASK_SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)

_METHOD = "http_request_method"
_ROUTE = "http_route"
_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


class Row(NamedTuple):
    """One metric: a histogram if it has buckets, a gauge if `joined` is set, else a counter.

    `joined` is the multi-process mode of a gauge: how the workers' values are joined.
    """

    name: str
    meaning: str
    labels: tuple[str, ...]
    source: str = OURS
    buckets: tuple[float, ...] = ()
    joined: str = ""


def _tokens(kind: str, meaning: str) -> Row:
    name = f"gen_ai_client_inference_usage_{kind}_tokens_total"
    return Row(name, f"{meaning} of LLM calls.", _CALL, GEN_AI)


REQUEST_DURATION = Row(
    "http_server_request_duration_seconds",
    "Duration of HTTP requests, to the last byte of the response.",
    (_METHOD, _ROUTE, "http_response_status_code", "error_type"),
    STABLE,
    _REQUEST_SECONDS,
)
ACTIVE_REQUESTS = Row(
    "http_server_active_requests",
    "HTTP requests that are being served.",
    (_METHOD,),
    STABLE,
    joined="livesum",
)
FIRST_BYTE = Row(
    "http_server_time_to_first_byte_seconds",
    "Time to the first byte of the bodies that are streamed.",
    (_METHOD, _ROUTE),
    buckets=_REQUEST_SECONDS,
)
WEBSOCKET_DURATION = Row(
    "http_server_websocket_duration_seconds",
    "Duration of websocket connections.",
    (_ROUTE, "close_code"),
    buckets=_WEBSOCKET_SECONDS,
)
DATABASE_DURATION = Row(
    "db_client_operation_duration_seconds",
    "Duration of database statements within requests and tasks.",
    ("db_system_name",),
    STABLE,
    _DATABASE_SECONDS,
)
OUTGOING_DURATION = Row(
    "http_client_request_duration_seconds",
    "Duration of outgoing requests, until the response's headers are there.",
    (_METHOD, "http_response_status_code", "server_address"),
    STABLE,
    _REQUEST_SECONDS,
)
CALL_DURATION = Row(
    "gen_ai_client_inference_duration_seconds",
    "Duration of LLM calls.",
    (*_CALL, "error_type"),
    GEN_AI,
    _MODEL_SECONDS,
)
FIRST_CHUNK = Row(
    "gen_ai_client_inference_time_to_first_chunk_seconds",
    "Time to the first chunk of the LLM calls that are streamed.",
    _CALL,
    GEN_AI,
    _MODEL_SECONDS,
)
INPUT_TOKENS = _tokens("input", "Tokens in the prompts")
OUTPUT_TOKENS = _tokens("output", "Tokens in the answers")
CACHE_READ_TOKENS = _tokens("cache_read_input", "Tokens read from a provider's cache")
CACHE_WRITE_TOKENS = _tokens("cache_write_input", "Tokens written to a provider's cache")
REASONING_TOKENS = _tokens("reasoning_output", "Reasoning tokens in the answers")
COST = Row("pantheon_llm_cost_usd_total", "Cost of LLM calls in US dollars.", _CALL)
CALLS = Row("pantheon_llm_calls_total", "LLM calls.", (*_CALL, "outcome"))
TASK_DURATION = Row(
    "pantheon_tasks_duration_seconds",
    "Duration of the tries of background tasks.",
    ("task", "state"),
    buckets=_TASK_SECONDS,
)
CHECK_STATUS = Row(
    "pantheon_health_check_status",
    "Whether a health check passes: 1 or 0; of several workers the worst counts.",
    ("check",),
    joined="livemin",
)
CHECK_DURATION = Row(
    "pantheon_health_check_duration_seconds",
    "Duration of health checks.",
    ("check",),
    buckets=_REQUEST_SECONDS,
)
LINES_DROPPED = Row(
    "pantheon_log_lines_dropped_total",
    "Log lines that the queue had no room for.",
    ("level",),
)
TELEMETRY_FAILURES = Row(
    "pantheon_telemetry_failures_total",
    "Exceptions of this library, which the application does not see.",
    ("site",),
)

TABLE = tuple(row for row in globals().copy().values() if isinstance(row, Row))
