"""Check the demo's responses and log lines."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

SERVER_ERROR = 500
CLIENT_ERROR = 400
ROUNDED = 0.01  # milliseconds

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the demo, and its expected result.

    Attributes:
        name: Its purpose, as shown in the table.
        path: Its path.
        body: The JSON body to post; None for a GET.
        sent_id: The id to send.
        sent_as: The header to send the id in.
        refused: Whether the service must replace that id by a fresh one.
        disconnects: Whether the client disconnects after the first piece of the answer.
        status: The expected status of the response.
        outcome: The expected outcome of its `request_finished`.
        llm_outcomes: The accepted outcomes of its one LLM call; empty if it makes none.
        event: An event that must be logged with this request's id, besides `request_finished`.
        is_probe: Whether it is a health probe; such a request has no `request_finished`.
        polls: Whether it is sent again until it has the expected status.
        shows: Whether the demo prints its log lines.
        slow_part: The part that makes it slow; the demo shows where its time went.
        detail: A DEBUG line that is written because the request fails; empty without one.
    """

    name: str
    path: str
    body: dict[str, str] | None = None
    sent_id: str | None = None
    sent_as: str = "X-Trace-ID"
    refused: bool = False
    disconnects: bool = False
    status: int = 200
    outcome: str = "ok"
    llm_outcomes: tuple[str, ...] = ()
    event: str | None = None
    is_probe: bool = False
    polls: bool = False
    shows: bool = False
    slow_part: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with the response that the client got.

    Attributes:
        call: The request.
        status: The status of the response.
        trace_ids: The value of each `X-Trace-ID` header of the response.
        request_ids: The value of each `X-Request-ID` header of the response.
        text: The body, up to the point where the client stopped reading.
        usage: The input and output tokens that the response reports; None without them.
    """

    call: Call
    status: int
    trace_ids: list[str]
    request_ids: list[str]
    text: str
    usage: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Tour:
    """The result of one part of the demo.

    Attributes:
        exchanges: Every exchange, in order.
        lines: Each line that the service printed, from its start to its end.
        job_lines: Each line of the service's command.
        worker_lines: Each line of the service's worker, from its start to its end.
        left_out: The parts that cannot run on this machine, one sentence each.
    """

    exchanges: list[Exchange]
    lines: list[str]
    job_lines: list[str] = field(default_factory=list)
    worker_lines: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def check(exchanges: list[Exchange], output: list[str]) -> list[str]:
    """Compare the responses with each other and with the lines that the service printed.

    Args:
        exchanges: Every exchange of the run.
        output: Each line that the service printed, from its start to its end.

    Returns:
        The problems, one sentence each; empty without a problem.
    """
    problems: list[str] = []
    lines = parse(output, problems)
    ids = [trace_id for exchange in exchanges for trace_id in exchange.trace_ids]
    if len(ids) != len(set(ids)):
        problems.append("two responses carry the same X-Trace-ID")
    problems += [
        f"a line belongs to no request of the demo: {line}"
        for line in lines
        if "trace_id" in line and line["trace_id"] not in ids
    ]
    problems += [
        f"a traceback belongs to no request: {line}"
        for line in lines
        if "exception" in line and "trace_id" not in line
    ]
    configured = sum(line["event"] == "observability_configured" for line in lines)
    if configured != 1:
        problems.append(f"{configured} observability_configured lines instead of one")
    for exchange in exchanges:
        wrong = _check_response(exchange)
        if not wrong:
            own = [line for line in lines if line.get("trace_id") == exchange.trace_ids[0]]
            wrong = _check_lines(exchange, own)
        problems += [f"{exchange.call.name}: {problem}" for problem in wrong]
        if exchange.call.refused and any(str(exchange.call.sent_id) in text for text in output):
            problems.append(f"{exchange.call.name}: the refused id is in the output")
    return problems


def parse(output: list[str], problems: list[str]) -> list[Line]:
    """Read JSON lines; report a line that is no JSON object or lacks a required key."""
    lines: list[Line] = []
    for text in output:
        try:
            line: Line = json.loads(text)
            missing = {"timestamp", "level", "event", "logger"} - line.keys()
        except (ValueError, AttributeError):
            problems.append(f"not a JSON object: {text!r}")
            continue
        if missing:
            problems.append(f"a line without {', '.join(sorted(missing))}: {text}")
        else:
            lines.append(line)
    return lines


def _check_response(exchange: Exchange) -> list[str]:
    call = exchange.call
    wrong: list[str] = []
    if exchange.status != call.status:
        wrong.append(f"status {exchange.status} instead of {call.status}")
    if len(exchange.trace_ids) != 1:
        return [*wrong, f"{len(exchange.trace_ids)} X-Trace-ID headers instead of one"]
    trace_id = exchange.trace_ids[0]
    if call.sent_id is None or call.refused:
        try:
            uuid.UUID(trace_id)
        except ValueError:
            wrong.append(f"X-Trace-ID {trace_id!r} instead of a fresh UUID")
    elif trace_id != call.sent_id:
        wrong.append(f"X-Trace-ID {trace_id!r} instead of {call.sent_id!r}")
    if call.disconnects and exchange.text.count("event: piece") != 1:
        wrong.append("the first piece of the stream did not come alone")
    return wrong


def _check_lines(exchange: Exchange, lines: list[Line]) -> list[str]:
    call = exchange.call
    finished = [line for line in lines if line["event"] == "request_finished"]
    if len(finished) != (not call.is_probe):
        return [f"{len(finished)} request_finished lines instead of {int(not call.is_probe)}"]
    wrong = [] if call.is_probe else _check_finished(exchange, lines, finished[0])
    if call.event and call.event not in [line["event"] for line in lines]:
        wrong.append(f"the line {call.event} is missing")
    return wrong


def _check_finished(exchange: Exchange, lines: list[Line], line: Line) -> list[str]:
    call = exchange.call
    llm = [line for line in lines if line["event"].startswith("llm.")]
    level = "info"
    if exchange.status >= CLIENT_ERROR:
        level = "error" if exchange.status >= SERVER_ERROR else "warning"
    expected: Line = {
        "level": level,
        "method": "GET" if call.body is None else "POST",
        "path": call.path,
        "status_code": exchange.status,
        "outcome": call.outcome,
    }
    if call.llm_outcomes:
        expected["llm_calls"] = 1
        expected["llm_errors"] = sum(event["outcome"] == "error" for event in llm)
        expected["llm_input_tokens"] = _sum(llm, "input_tokens")
        expected["llm_output_tokens"] = _sum(llm, "output_tokens")
    wrong = [
        f"request_finished has {name}={line.get(name)!r} instead of {value!r}"
        for name, value in expected.items()
        if line.get(name) != value
    ]
    if not isinstance(line.get("latency_ms"), float | int):
        wrong.append("request_finished has no latency_ms")
    counted = (line.get("llm_input_tokens"), line.get("llm_output_tokens"))
    if exchange.usage is not None and counted != exchange.usage:
        wrong.append(f"the answer has {exchange.usage} tokens, request_finished has {counted}")
    wrong += _check_llm(call, llm)
    if call.slow_part:
        parts = parts_of(line)
        if call.slow_part not in parts or abs(sum(parts.values()) - line["latency_ms"]) > ROUNDED:
            wrong.append(f"its {line['latency_ms']} ms are not explained by {parts}")
    details = [line["event"] for line in lines if line["level"] == "debug"]
    if details != [call.detail] * bool(call.detail):
        wrong.append(f"the DEBUG lines {details} instead of {call.detail!r}")
    tracebacks = sum("exception" in line for line in lines)
    if tracebacks != (call.outcome == "error"):
        wrong.append(f"{tracebacks} lines with a traceback")
    return wrong


def parts_of(line: Line) -> dict[str, float]:
    """Return the milliseconds of each part of a request, the longest first."""
    parts = {
        name.removesuffix("_ms").removesuffix("_latency"): value
        for name, value in line.items()
        if name.endswith("_ms") and name not in {"latency_ms", "ttfb_ms", "loop_blocked_ms"}
    }
    return dict(sorted(parts.items(), key=lambda part: part[1], reverse=True))


def _sum(llm: list[Line], name: str) -> int | None:
    """Sum up the figures of the calls; None if no call has any."""
    reported = [event[name] for event in llm if event[name] is not None]
    return sum(reported) if reported else None


def _check_llm(call: Call, llm: list[Line]) -> list[str]:
    if len(llm) != bool(call.llm_outcomes):
        return [f"{len(llm)} llm lines instead of {len(call.llm_outcomes[:1])}"]
    wrong = [
        f"{line['event']} has outcome={line['outcome']!r} instead of {call.llm_outcomes}"
        for line in llm
        if line["outcome"] not in call.llm_outcomes
    ]
    asked = (call.body or {}).get("model_alias")
    wrong += [
        f"{line['event']} has model_alias={line['model_alias']!r} instead of {asked!r}"
        for line in llm
        if line["model_alias"] != asked
    ]
    return wrong
