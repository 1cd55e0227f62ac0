"""Output of the commands: bytes on stdout, notes on stderr, colours, progress."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.core.errors import ObsError
from pantheon_obs.core.terminal import wants_colors

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLORS = {"red": "31", "yellow": "33", "green": "32", "dim": "2", "bold": "1", "cyan": "36"}
# Control characters, and characters that change the direction of the text: a value of a log must
# neither move the cursor nor look like another line.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_LARGEST = 2**64 - 1  # that orjson encodes
_DEEPEST = 200  # levels; orjson encodes 254
_PATIENCE = 2.0  # seconds after which progress is shown


class CommandError(ObsError):
    """A command cannot do its work; the message is the only line that the person reads.

    Attributes:
        code: The exit code: 2 for wrong use, 1 for nothing found.
    """

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def printable(value: object) -> str:
    """Return a text in which control characters are escaped, newlines and tabs too."""
    text = str(value)
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def paint(text: str, color: str) -> str:
    """Color a text, if stdout is a terminal and the environment does not forbid it."""
    wanted = sys.stdout.isatty() and wants_colors()
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if wanted else text


def encoded(value: object) -> bytes:
    """Encode a value as JSON, also where orjson refuses.

    Parts that are nested too deeply become `…`, integers beyond 64 bits floats, and bytes that are
    no UTF-8, such as in a variable, question marks.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_fitting(value))


def _fitting(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any part of a document
    if isinstance(value, dict | list):
        if depth > _DEEPEST:
            return "…"
        if isinstance(value, dict):
            return {key: _fitting(item, depth + 1) for key, item in value.items()}
        return [_fitting(item, depth + 1) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return float(value) if isinstance(value, int) and value > _LARGEST else value


def text_of(value: object) -> str:
    """Return a string as it is, and any other value as JSON."""
    return value if isinstance(value, str) else encoded(value).decode()


def write(data: bytes) -> None:
    """Write UTF-8 bytes to stdout, whatever the locale is."""
    sys.stdout.buffer.write(data)


def write_lines(lines: Iterable[str]) -> None:
    """Write text to stdout, each part as a line."""
    for line in lines:
        write(line.encode("utf-8", "replace") + b"\n")


def note(text: str) -> None:
    """Print one line for the person on stderr."""
    with suppress(OSError):  # the disk on which stderr is written may be full
        print(f"pantheon-obs: {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201


class ProgressLine:
    """Show on a terminal's stderr how far a long read has come."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = 0.0
        self._wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def at(self, name: str, done: int, total: int) -> None:
        """Show, if it is time, how many bytes of a file are read; `total` is 0 if not known."""
        now = time.monotonic()
        is_due = now - self._started > _PATIENCE and now - self._shown > 0.2  # noqa: PLR2004 - seconds
        if self._wanted and is_due:
            self._shown = now
            share = f"{100 * done // total} %" if total else f"{done >> 20} MiB"
            sys.stderr.write(f"\r\x1b[K{printable(name)} {share}")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            self._shown = 0.0
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
