"""The three ways a line looks: JSON, the seed's text format, and structlog's console renderer.

Each takes the dict that `LineBuilder` made and gives the bytes to write, line end included.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.sinks.redact import plain_scalar, utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    Line = dict[str, Any]
    Format = Callable[[Line], bytes]

_HEAD = ("timestamp", "level", "event", "logger", "trace_id", "exception")
_LLM = ("model_alias", "latency_ms", "input_tokens", "output_tokens")
_REQUEST = ("method", "path", "status_code", "latency_ms")

# C0 and C1 controls, DEL, and the separators that some readers take for a line's end.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+").fullmatch


def json_format(line: Line) -> bytes:
    """One line of JSON."""
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # A top-level value that JSON or UTF-8 cannot say: rare, so looked for only here.
        return orjson.dumps(
            {utf8(key): plain_scalar(value) for key, value in line.items()},
            option=orjson.OPT_APPEND_NEWLINE,
        )


def text_format(line: Line) -> bytes:
    """`asctime levelname name [trace_id] message`, a traceback indented below.

    No value can forge a line: control characters are escaped.
    """
    moment = datetime.fromisoformat(line["timestamp"]).astimezone()
    head = (
        f"{moment:%Y-%m-%d %H:%M:%S},{moment.microsecond // 1000:03d} "
        f"{line['level'].upper():<8} {_escaped(line['logger'])} [{line.get('trace_id', '-')}] "
        f"{_escaped(line['event'])}"
    )
    parts = [head, *(f"{key}={_value(value)}" for key, value in _text_fields(line))]
    text = " ".join(parts) + "\n"
    if "exception" in line:
        below = (f"    {_escaped(part)}\n" for part in line["exception"].split("\n"))
        text += "".join(below)
    return text.encode("utf-8", "backslashreplace")


def _text_fields(line: Line) -> list[tuple[str, Any]]:
    """The event's fields, the seed's first; the alias is the seed's `model`."""
    event, logger = line["event"], line["logger"]
    if logger == "pantheon_obs.llm" and event.startswith("llm."):
        first = _LLM
        names = {"model_alias": "model", "model": "response_model"}
    elif logger == "pantheon_obs.request" and event == "request_finished":
        first, names = _REQUEST, {}
    else:
        first, names = (), {}
    keys = [key for key in first if key in line]
    keys += [key for key in line if key not in first and key not in _HEAD]
    shown = dict(line)
    if first is _LLM:
        shown["latency_ms"] = int(line["latency_ms"])
    return [(names.get(key, key), shown[key]) for key in keys]


def _value(value: Any) -> str:  # noqa: ANN401 - any plain value
    if isinstance(value, str):
        text = value if _PLAIN_VALUE(value) else json.dumps(value, ensure_ascii=False)
    else:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    return _escaped(text)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def console_format(*, colors: bool) -> Format:
    """structlog's developer renderer.

    Args:
        colors: Whether the terminal shows colours.

    Returns:
        The format.
    """
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - imports rich where it is installed

    render = ConsoleRenderer(colors=colors, pad_event_to=24)

    def console(line: Line) -> bytes:
        shown = {
            key: _escaped(value) if isinstance(value, str) and key != "exception" else value
            for key, value in line.items()
        }
        return (render(None, "", shown) + "\n").encode("utf-8", "backslashreplace")

    return console
