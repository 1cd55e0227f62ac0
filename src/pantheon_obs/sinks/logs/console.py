"""The console format, for people: structlog's renderer, a request in a few words, short tracebacks.

https://www.structlog.org/en/stable/console-output.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.installed import folder_of
from pantheon_obs.sinks.logs.formats import escaped, indented, message, shown_value, word
from pantheon_obs.sinks.redact.plain import plain_scalar

if TYPE_CHECKING:
    from pantheon_obs.sinks.logs.formats import Format, Line

_LOGGER = "pantheon_obs.request"
_PLACED = frozenset({"timestamp", "level", "event", "logger"})  # these have columns of their own
_looks_like_more = re.compile(r"[\s=\"']").search
# The values of these fields take the event's place: a request is described in a few words.
_IN_WORDS = {
    "request_finished": ("method", "path", "status_code"),
    "websocket_finished": ("path", "close_code"),
}

# In the traceback of an exception group a margin of bars stands before the lines.
_FRAME = re.compile(
    r'(?P<margin>[ |+-]*?)  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.*)'
)


def console_format(*, colors: bool) -> Format:
    """Make the format of structlog's renderer for developers."""
    from structlog.dev import (  # noqa: PLC0415 - imports rich where it is installed
        ConsoleRenderer,
        plain_traceback,
    )

    # Exceptions come as text; until structlog 25 any other formatter would warn of that.
    render = ConsoleRenderer(colors=colors, exception_formatter=plain_traceback, sort_keys=False)

    def console(line: Line) -> bytes:
        # Quoted: the renderer would put a field without a name before the time.
        shown = {escaped(word(key)): _shown(key, value) for key, value in _in_words(line).items()}
        return (render(None, "", shown) + "\n").encode("utf-8", "backslashreplace")

    return console


def _in_words(line: Line) -> Line:
    """Make the line of a request begin with `GET /ping 200 4.9 ms`, and omit these fields."""
    moment = datetime.fromisoformat(line["timestamp"]).astimezone()
    time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    latency = line.get("latency_ms")
    words = _IN_WORDS.get(line["event"]) if line["logger"] == _LOGGER else None
    if words is None or not isinstance(latency, float | int):
        shown = {"logger": word(line["logger"]), "event": message(line)}
        return {**line, **shown, "timestamp": time}
    values = [shown_value(line.get(key, "-")) for key in words]
    if "method" not in words:
        values.insert(0, "WEBSOCKET")
    said = {"logger", "latency_ms", *words}
    rest = {key: value for key, value in line.items() if key not in said}
    return {**rest, "timestamp": time, "event": f"{' '.join(values)} {latency:.1f} ms"}


def _shown(key: str, value: Any) -> Any:  # noqa: ANN401 - any plain value
    if key in ("exception", "stack"):  # the renderer puts these below the line
        return indented(folded(value) if isinstance(value, str) else shown_value(value))
    if not isinstance(value, str):
        return plain_scalar(value)
    text = escaped(value)
    return _Verbatim(repr(text)) if key not in _PLACED and _looks_like_more(text) else text


class _Verbatim:
    """A text that the renderer takes as it is: before structlog 25.1 it quotes no text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def folded(traceback: str) -> str:
    """Fold each frame outside of the application to one line, `package/module.py:12 in name`.

    A traceback without a frame of the application stays as it is.
    """
    frames = [_FRAME.fullmatch(line) for line in traceback.split("\n")]
    if all(folder_of(frame["file"]) is not None for frame in frames if frame is not None):
        return traceback
    lines: list[str] = []
    source = ""  # the beginning of the lines of source below a frame that is folded
    for frame, line in zip(frames, traceback.split("\n"), strict=True):
        if frame is None:
            if not (source and line.startswith(source)):
                source = ""
                lines.append(line)
            continue
        root = folder_of(frame["file"])
        source = "" if root is None else f"{frame['margin']}    "
        short = f"{frame['margin']}  {frame['file'][len(root or '') :]}:{frame['line']}"
        lines.append(line if root is None else f"{short} in {frame['name']}")
    return "\n".join(lines)
