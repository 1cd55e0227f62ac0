"""The formats of a line for machines, JSON and text, and the limit of its bytes.

Each format takes the dict that `LineBuilder` made and returns the bytes to write, its end included.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orjson import OPT_APPEND_NEWLINE, dumps

from pantheon_obs.sinks.logs.entry import Interpolated, like_fields
from pantheon_obs.sinks.logs.line import RESERVED
from pantheon_obs.sinks.redact.plain import described, plain_scalar, utf8
from pantheon_obs.sinks.redact.spans import cut_marker

if TYPE_CHECKING:
    from collections.abc import Callable

    Line = dict[str, Any]
    Format = Callable[[Line], bytes]

_KEPT = frozenset({"timestamp", "level", "logger", "trace_id"})
_MARKER = 32
_NAME = 200
_LLM = ("model_alias", "latency_ms", "input_tokens", "output_tokens")
_REQUEST = ("method", "path", "status_code", "latency_ms")

# C0 and C1 controls, DEL, the separators that some readers take for a line's end, and the controls
# of Unicode's bidirectional algorithm, which show a text in another order.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_DELETE = 0x7F  # as a number: much faster to find than as bytes
_CONTROL_BYTES = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
_MARKED_START = re.compile(rb"\[(\d{1,15}) bytes cut\]").match
_MARKED_END = re.compile(rb"\[(\d{1,15}) bytes cut\]\Z").search
_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+").fullmatch


def json_format(line: Line) -> bytes:
    """Render a line of JSON; orjson leaves the controls beyond ASCII's as they are."""
    try:
        rendered = dumps(line, option=OPT_APPEND_NEWLINE)
    except TypeError:
        # A top-level value that JSON or UTF-8 cannot express: rare, so it is searched only here.
        rendered = dumps(
            {utf8(key): plain_scalar(value) for key, value in line.items()},
            default=described,
            option=OPT_APPEND_NEWLINE,
        )
    if rendered.isascii() and _DELETE not in rendered:
        return rendered
    return _CONTROL_BYTES.sub(
        lambda found: f"\\u{ord(found.group().decode()):04x}".encode(), rendered
    )


def text_format(line: Line) -> bytes:
    """Render `asctime levelname name [trace_id] message`, a traceback indented below.

    No value can forge a line or a field: control characters are escaped, and text that looks like
    fields is quoted.
    """
    moment = datetime.fromisoformat(line["timestamp"]).astimezone()
    head = (
        f"{moment:%Y-%m-%d %H:%M:%S},{moment.microsecond // 1000:03d} "
        f"{line['level'].upper():<8} {word(line['logger'])} [{line.get('trace_id', '-')}] "
        f"{message(line)}"
    )
    parts = [head, *(f"{word(key)}={shown_value(value)}" for key, value in _text_fields(line))]
    text = escaped(" ".join(parts)) + "\n"
    if "exception" in line:
        text += indented(line["exception"]) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _text_fields(line: Line) -> list[tuple[str, Any]]:
    """List the event's fields, the most important first; the model's alias is called `model`."""
    event, logger = line["event"], line["logger"]
    shown = {key: value for key, value in line.items() if key not in RESERVED}
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


def word(text: str) -> str:
    """Show a text as one word: quoted if it is none, or could be taken for a field."""
    return text if _PLAIN_VALUE(text) else json.dumps(text, ensure_ascii=False)


def message(line: Line) -> str:
    """Show a message as it is, unless a part of it could be taken for a field of the line.

    The application's own format string is no such part. It is not known for a message without
    arguments.
    """
    text: str = line["event"]
    if "=" not in text or not like_fields(text):
        return text
    is_written = isinstance(text, Interpolated) and not text.is_forged()
    return text if is_written else json.dumps(text, ensure_ascii=False)


def shown_value(value: Any) -> str:  # noqa: ANN401 - any plain value
    """Show a word as it is, and any other value as JSON, so that none can be taken for two."""
    if isinstance(value, str):
        return word(value)
    return json.dumps(plain_scalar(value), ensure_ascii=False, default=described)


def escaped(text: str) -> str:
    """Escape the control characters of a text, so that it stays on its line."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def indented(text: str) -> str:
    """Indent each line, so that none looks like a log line."""
    return "\n".join(f"    {escaped(part)}" for part in text.split("\n"))


def fit(line: dict[str, Any], rendered: bytes, render: Format, limit: int) -> bytes:
    """Render a line, which is longer than the limit of bytes, with its longest values cut.

    A cut value ends in a marker with the number of bytes cut; a traceback keeps its end and begins
    with the marker. The dict of the line is changed.
    """
    whole: dict[str, bytes] = {}
    gone: dict[str, int] = {}
    for key in [key for key in line if key not in _KEPT]:
        whole[key], gone[key] = _without_marker(_as_bytes(line[key]), from_start=key == "exception")
    kept = {key: len(value) for key, value in whole.items()}
    while len(rendered) > limit:
        longest = max(kept, key=kept.__getitem__)
        if kept[longest] <= _MARKER:
            line["event"] = whole["event"].decode()
            return render(_without_fields(line, len(whole) - 1))
        # In proportion, as one byte of a value may be several of the line: "\0" is "\\u0000".
        kept[longest] = max(0, kept[longest] * limit // len(rendered) - _MARKER)
        line[longest] = _cut(
            whole[longest], kept[longest], gone[longest], from_start=longest == "exception"
        )
        rendered = render(line)
    return rendered


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace")
    return dumps(value, default=str)


def _without_marker(value: bytes, *, from_start: bool) -> tuple[bytes, int]:
    """Take from a value the marker of redaction, which may have cut it already."""
    found = _MARKED_START(value) if from_start else _MARKED_END(value, max(0, len(value) - _MARKER))
    if found is None:
        return value, 0
    return value[: found.start()] + value[found.end() :], int(found[1])


def _cut(whole: bytes, keep: int, gone: int, *, from_start: bool) -> str:
    kept = whole[len(whole) - keep :] if from_start else whole[:keep]
    text = kept.decode("utf-8", "ignore")  # without a character that is cut through
    marker = cut_marker(len(whole) - len(text.encode()) + gone)
    return marker + text if from_start else text + marker


def _without_fields(line: dict[str, Any], fields: int) -> dict[str, Any]:
    """Make a line of an event with very many fields: its name, and how many were left out."""
    head = {key: line[key] for key in line if key in _KEPT}
    head["event"] = "line_cut"
    head["event_cut"] = line["event"][:_NAME]
    head["fields_cut"] = fields
    return {key: head[key] for key in ("timestamp", "level", "event", *head)}
