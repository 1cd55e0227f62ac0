"""Hypothesis strategies for hostile logs: a few traces, wrong types, torn and foreign lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

START = datetime(2026, 11, 29, 8, 0, 0, 120_000, UTC)
IDS = (
    "0af76519-16cd-43dd-8448-eb211c80319c",
    "0AF7651916CD43DD8448EB211C80319C",  # the same trace
    "checkout:7",
    "feedbeef",
)
TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/starlette/routing.py", line 75, in app
    response = await f(request)
  File "/srv/shop/{file}.py", line {line}, in {function}
    raise {name}({message!r})
shop.errors.{name}: {message}"""
CHAINED = """

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/shop/app.py", line 9, in handle
    raise Refused from None
shop.errors.Refused"""
WRONG = st.sampled_from(["12", "", True, False, None, [1], {"a": 1}, -1, 0, 1.5, 3.0, "ok", 10**15])

milliseconds = st.one_of(
    st.sampled_from([0, 1, 5, 20.125, 1000, 3000.5]),
    st.floats(0.001, 5000, allow_nan=False).map(lambda value: round(value, 3)),
)
tokens = st.one_of(st.none(), st.integers(0, 10**6))
costs = st.one_of(st.none(), st.floats(0, 2, allow_nan=False).map(lambda value: round(value, 8)))


@st.composite
def tracebacks(draw: st.DrawFn) -> str:
    """Write a traceback, now and then of a chain, or none that Python would write."""
    text = TRACEBACK.format(
        file=draw(st.sampled_from(["pay", "orders"])),
        line=draw(st.integers(10, 12)),
        function="charge",
        name=draw(st.sampled_from(["CardDeclined", "Timeout"])),
        message=draw(st.sampled_from(["", "card 7", "a\n  b: c", "</script>", "naïve: yes"])),
    )
    return draw(st.sampled_from([text, text, text + CHAINED, "no traceback", "Refused: no"]))


@st.composite
def lines(draw: st.DrawFn, *, wrong: bool = True) -> dict[str, Any]:
    """Write a line of any kind; now and then a field has a wrong type."""
    moment = START + timedelta(microseconds=draw(st.integers(0, 4_000_000)))
    kind = draw(
        st.sampled_from(["request", "request", "websocket", "task", "call", "call", "line"])
    )
    line: dict[str, Any] = {
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "level": draw(st.sampled_from(["info", "info", "error", "critical", "debug", "warning"])),
        "event": "order loaded",
        "logger": "shop",
    }
    if draw(st.integers(0, 5)):
        line["trace_id"] = draw(st.sampled_from(IDS))
    if draw(st.booleans()):
        line["service"] = draw(st.sampled_from(["shop", "gateway"]))
    if kind == "call":
        line |= draw(calls())
    elif kind != "line":
        line |= draw(units(kind))
    if draw(st.integers(0, 2)) == 0:
        line["error_type"] = draw(st.sampled_from(["CardDeclined", "IncompleteStream", "Timeout"]))
    if line["level"] in {"error", "critical"} and draw(st.booleans()):
        line["exception"] = draw(tracebacks())
    if wrong and draw(st.integers(0, 4)) == 0:
        line[draw(st.sampled_from(sorted(line)))] = draw(WRONG)
    return line


@st.composite
def units(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Write the fields of a unit."""
    fields: dict[str, Any] = {
        "event": f"{kind}_finished",
        "logger": "pantheon_obs.task" if kind == "task" else "pantheon_obs.request",
    }
    if draw(st.integers(0, 5)):
        fields["latency_ms"] = draw(milliseconds)
    if draw(st.integers(0, 3)):
        name = "task" if kind == "task" else "route"
        fields[name] = draw(st.sampled_from(["/orders", "/chat/{id}", "ship"]))
    if kind == "request":
        fields["method"] = draw(st.sampled_from(["GET", "POST"]))
    if draw(st.integers(0, 2)) == 0:
        fields["keep_rate"] = draw(st.sampled_from([0.1, 0.5, 0.3, 1, 0, 2, -1, 0.007]))
    for name in draw(st.sets(st.sampled_from(["db", "cache", "render", "llm", "x_calls"]))):
        fields[f"{name}_calls"] = draw(st.integers(1, 9))
        fields["llm_latency_ms" if name == "llm" else f"{name}_ms"] = draw(milliseconds)
    if draw(st.booleans()):
        fields["own_ms"] = draw(milliseconds)
    return fields


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """Write the fields of an LLM call."""
    fields: dict[str, Any] = {
        "event": "llm.generate",
        "logger": "pantheon_obs.llm",
        "model_alias": draw(st.sampled_from(["fast", "smart", None])),
        "latency_ms": draw(milliseconds),
        "input_tokens": draw(tokens),
        "output_tokens": draw(tokens),
        "usage_status": draw(st.sampled_from(["reported", "missing"])),
        "outcome": draw(st.sampled_from(["ok", "error", "cancelled"])),
        "tenant": draw(st.sampled_from(["acme", 7, True, None, ["a"], 'a"b', 1.5])),
    }
    optional = {
        "model": st.sampled_from(["gpt-5", "sonnet"]),
        "provider": st.sampled_from(["openai", "anthropic"]),
        "cost_usd": costs,
        "cached_input_tokens": tokens,
        "ttft_ms": milliseconds,
        "finish_reason": st.sampled_from(["stop", "LENGTH", "max_tokens"]),
        "nested": st.sampled_from([True, True, False]),
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        fields[name] = draw(optional[name])
    return fields


@st.composite
def raw_lines(draw: st.DrawFn) -> bytes:
    """Write a line as it may stand in a file."""
    line = draw(lines())
    text = json.dumps(line, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])))
    variants = (
        text[: len(text) // 2].encode(),
        draw(st.sampled_from(NO_LINES)),
        # Of a key that comes twice the last counts.
        f'{text[:-1]},"latency_ms":7,"service":"late"}}'.encode(),
        text.replace('"latency_ms":', '"latency_ms":NaN,"x":', 1).encode(),
        json.dumps(line, ensure_ascii=False).encode() + b"\r",
        json.dumps({key: line[key] for key in sorted(line)}).encode(),
    )
    place = draw(st.integers(0, 14))
    return variants[place] if place < len(variants) else text.encode()


NO_LINES = (
    b"",
    b"  ",
    b"Listening on port 8000",
    b"{",
    b"{}",
    b"[]",
    b'{"timestamp":"2026-02-30T08:00:00.000000Z","level":"info","event":"a","logger":"b"}',
    b'{"timestamp":"2026-11-29T08:00:00.000000Z","level":"info","event":"\xff","logger":"b"}',
    b'{"timestamp":"2026-11-29T08:00:00Z","level":"info","event":"a","logger":"b"}',
    b'{"timestamp":"2026-11-29T08:00:00.000000Z","level":"info","event":1,"logger":"b"}',
    b'{"timestamp":"2026-11-29T08:00:00.000000Z","level":"info","event":"a"}{"b":1}',
)
logs = st.lists(raw_lines(), max_size=80)
# What every engine reads alike: whole lines, with the types of the schema, of a known service.
tame_logs = st.lists(
    lines(wrong=False).map(lambda line: {"service": "shop", **line}), min_size=1, max_size=80
)
