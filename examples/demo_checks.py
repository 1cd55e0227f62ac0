"""What must be true of the demo's responses and lines, and the table that sums them up."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

SERVER_ERROR = 500
CLIENT_ERROR = 400

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the demo, and what must come of it.

    Attributes:
        name: What it shows.
        path: Its path.
        body: What it posts; None for a GET.
        sent_id: The id that it brings.
        sent_as: The header that brings it.
        refused: Whether that id must be replaced by a fresh one.
        leaves: Whether the client goes away after the first piece of the answer.
        status: The status of the response.
        outcome: That of its `request_finished`.
        llm_outcomes: What the outcome of its one LLM call may be; empty if it makes none.
        says: A line that must have been written under this request's id, besides the last one.
        is_probe: Whether it asks after the service's health: such a request has no last line.
        turns: Whether it is sent again until the status is the expected one.
    """

    name: str
    path: str
    body: dict[str, str] | None = None
    sent_id: str | None = None
    sent_as: str = "X-Trace-ID"
    refused: bool = False
    leaves: bool = False
    status: int = 200
    outcome: str = "ok"
    llm_outcomes: tuple[str, ...] = ()
    says: str | None = None
    is_probe: bool = False
    turns: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call as the client saw it answered.

    Attributes:
        call: The request.
        status: The status that came.
        trace_ids: The value of each `X-Trace-ID` header that came.
        request_ids: Likewise of each `X-Request-ID`.
        text: The body, as far as it was read.
        usage: Tokens of input and output as the answer gave them; None if it did not.
    """

    call: Call
    status: int
    trace_ids: list[str]
    request_ids: list[str]
    text: str
    usage: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Tour:
    """What came of asking one service.

    Attributes:
        exchanges: Every exchange, in order.
        lines: Each line that the service printed, from its start to its end.
        job_lines: Each line of the service's command.
        worker_lines: Each line of the service's worker, from its start to its end.
        left_out: What could not be shown here, a sentence each.
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
        output: All that the service printed, from its start to its end.

    Returns:
        What is wrong, a sentence each; nothing if all is well.
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
        problems += [f"{exchange.call.name}: {what}" for what in wrong]
        if exchange.call.refused and any(str(exchange.call.sent_id) in text for text in output):
            problems.append(f"{exchange.call.name}: the refused id is in the output")
    return problems


def parse(output: list[str], problems: list[str]) -> list[Line]:
    """Read JSON lines; what is none, or lacks what every line has, is a problem."""
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
    if call.leaves and exchange.text.count("event: piece") != 1:
        wrong.append("the first piece of the stream did not come alone")
    return wrong


def _check_lines(exchange: Exchange, lines: list[Line]) -> list[str]:
    call = exchange.call
    finished = [line for line in lines if line["event"] == "request_finished"]
    if len(finished) != (not call.is_probe):
        return [f"{len(finished)} request_finished lines instead of {int(not call.is_probe)}"]
    wrong = [] if call.is_probe else _check_finished(exchange, lines, finished[0])
    if call.says and call.says not in [line["event"] for line in lines]:
        wrong.append(f"the line {call.says} is missing")
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
        expected["llm_input_tokens"] = sum(event["input_tokens"] or 0 for event in llm)
        expected["llm_output_tokens"] = sum(event["output_tokens"] or 0 for event in llm)
    wrong = [
        f"request_finished has {name}={line.get(name)!r} instead of {value!r}"
        for name, value in expected.items()
        if line.get(name) != value
    ]
    if not isinstance(line.get("latency_ms"), float | int):
        wrong.append("request_finished has no latency_ms")
    told = (line.get("llm_input_tokens"), line.get("llm_output_tokens"))
    if exchange.usage is not None and told != exchange.usage:
        wrong.append(f"the answer speaks of {exchange.usage} tokens, request_finished of {told}")
    wrong += _check_llm(call, llm)
    tracebacks = sum("exception" in line for line in lines)
    if tracebacks != (call.outcome == "error"):
        wrong.append(f"{tracebacks} lines with a traceback")
    return wrong


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


def table(exchanges: list[Exchange], output: list[str]) -> str:
    """Sum each exchange up, from its response and its `request_finished` line."""
    finished = {
        line.get("trace_id"): line
        for line in parse(output, [])
        if line["event"] == "request_finished"
    }
    columns = ["latency_ms", "llm_calls", "llm_input_tokens", "llm_output_tokens"]
    head = ["request", "trace id", "status", "latency ms", "LLM calls", "tokens in", "tokens out"]
    rows = [head]
    for exchange in exchanges:
        trace_id = ", ".join(exchange.trace_ids) or "-"
        line = finished.get(trace_id, {})
        told = [str(line.get(key, "-")) for key in columns]
        rows.append([exchange.call.name, trace_id, str(exchange.status), *told])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
