"""The three formats of a line: JSON, text, and structlog's console renderer.

Each takes the dict that `LineBuilder` made and returns the bytes to write, line end included.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.sinks.redact_plain import described, plain_scalar, utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    Line = dict[str, Any]
    Format = Callable[[Line], bytes]

_HEAD = frozenset({"timestamp", "level", "event", "logger", "trace_id", "exception"})
_LLM = ("model_alias", "latency_ms", "input_tokens", "output_tokens")
_REQUEST = ("method", "path", "status_code", "latency_ms")

# C0 and C1 controls, DEL, and the separators that some readers take for a line's end.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+").fullmatch


def json_format(line: Line) -> bytes:
    """Render a line of JSON."""
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # A top-level value that JSON or UTF-8 cannot express: rare, so it is searched only here.
        return orjson.dumps(
            {utf8(key): plain_scalar(value) for key, value in line.items()},
            default=described,
            option=orjson.OPT_APPEND_NEWLINE,
        )


def text_format(line: Line) -> bytes:
    """Render `asctime levelname name [trace_id] message`, a traceback indented below.

    No value can forge a line: control characters are escaped.
    """
    moment = datetime.fromisoformat(line["timestamp"]).astimezone()
    head = (
        f"{moment:%Y-%m-%d %H:%M:%S},{moment.microsecond // 1000:03d} "
        f"{line['level'].upper():<8} {line['logger']} [{line.get('trace_id', '-')}] {line['event']}"
    )
    parts = [head, *(f"{_word(key)}={_value(value)}" for key, value in _text_fields(line))]
    text = escaped(" ".join(parts)) + "\n"
    if "exception" in line:
        text += _indented(line["exception"]) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _text_fields(line: Line) -> list[tuple[str, Any]]:
    """List the event's fields, the most important first; the model's alias is called `model`."""
    event, logger = line["event"], line["logger"]
    shown = {key: value for key, value in line.items() if key not in _HEAD}
    if "trace_id" in line and shown.get("request_id") == line["trace_id"]:
        del shown["request_id"]  # the trace id stands in brackets
    if logger == "pantheon_obs.llm" and event.startswith("llm."):
        shown = {key: shown[key] for key in _LLM if key in shown} | shown
        shown["latency_ms"] = int(shown["latency_ms"])
        names = {"model_alias": "model", "model": "response_model"}
        return [(names.get(key, key), value) for key, value in shown.items()]
    if logger == "pantheon_obs.request" and event == "request_finished":
        shown = {key: shown[key] for key in _REQUEST if key in shown} | shown
    return list(shown.items())


def _word(text: str) -> str:
    return text if _PLAIN_VALUE(text) else json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:  # noqa: ANN401 - any plain value
    if isinstance(value, str):
        return _word(value)
    return json.dumps(plain_scalar(value), ensure_ascii=False, default=described)


def escaped(text: str) -> str:
    """Escape the control characters of a text, so that it stays on its line."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _indented(text: str) -> str:
    """Indent each line, so that none looks like a log line."""
    return "\n".join(f"    {escaped(part)}" for part in text.split("\n"))


def console_format(*, colors: bool) -> Format:
    """Make the format of structlog's renderer for developers.

    Args:
        colors: Whether the terminal shows colours.

    Returns:
        The format.
    """
    from structlog.dev import (  # noqa: PLC0415 - imports rich where it is installed
        ConsoleRenderer,
        plain_traceback,
    )

    # Exceptions come as text; until structlog 25 any other formatter would warn of that.
    render = ConsoleRenderer(colors=colors, exception_formatter=plain_traceback)

    def console(line: Line) -> bytes:
        shown = {escaped(key): _for_console(key, value) for key, value in line.items()}
        return (render(None, "", shown) + "\n").encode("utf-8", "backslashreplace")

    return console


def _for_console(key: str, value: Any) -> Any:  # noqa: ANN401 - any plain value
    if key in ("exception", "stack"):  # the renderer puts these below the line
        return _indented(value if isinstance(value, str) else _value(value))
    return escaped(value) if isinstance(value, str) else plain_scalar(value)
