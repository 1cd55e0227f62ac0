"""Read Python's tracebacks: the exception that was raised last, and where in the application."""

from __future__ import annotations

import re
from typing import NamedTuple, TypedDict

_CHAIN = re.compile(
    r"^(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):$",
    re.MULTILINE,
)
_HEADER = "Traceback (most recent call last)"
_GROUP = re.compile(r"^ +\+ Exception Group Traceback", re.MULTILINE)
_FRAME = re.compile(r'\s*File "(.*)", line (\d{1,9}), in (.*)').fullmatch
_RAISED = re.compile(r"([^\W\d][\w.<>]*)(?:: ?(.*))?", re.DOTALL).fullmatch
# Code of others: installed packages, the standard library, and code without a file.
_OF_OTHERS = re.compile(
    r"(?:^|[/\\])(?:site-packages|dist-packages|lib(?:64)?[/\\]python3[^/\\]*)[/\\]|^<"
)


class Frame(TypedDict):
    """A place in the application's code."""

    file: str
    line: int
    function: str


class Raised(NamedTuple):
    """The exception that was raised last: its bare class, its text, the innermost own frame."""

    type: str | None
    message: str | None
    frame: Frame | None


def is_own(file: str) -> bool:
    """Whether a file has code of the application, by its path."""
    return not _OF_OTHERS.search(file)


def read(text: str) -> Raised:
    """Read a traceback; its beginning may be cut off."""
    chained = list(_CHAIN.finditer(text))
    last = text[chained[-1].end() :] if chained else text
    group = _GROUP.search(last)
    lines = _of_group(last[group.start() :]) if group else last.splitlines()
    frames, rest = _split(lines)
    match = _RAISED("\n".join(rest).rstrip()) if rest else None
    own = next((frame for frame in reversed(frames) if is_own(frame["file"])), None)
    if match is None:
        return Raised(None, "\n".join(rest).rstrip() or None, own)
    return Raised(match[1].rpartition(".")[2], match[2] or "", own)


def _of_group(text: str) -> list[str]:
    """Return the lines of an exception group itself, without its members' lines."""
    head, *lines = text.splitlines()
    margin = " " * (len(head) - len(head.lstrip())) + "| "
    own = []
    for line in lines:
        if not line.startswith(margin.rstrip()):
            break
        own.append(line.removeprefix(margin))
    return own


def _split(lines: list[str]) -> tuple[list[Frame], list[str]]:
    """Split a traceback into its frames and the text of the exception."""
    frames: list[Frame] = []
    begun = any(_FRAME(line) for line in lines)
    for number, line in enumerate(lines):
        if match := _FRAME(line):
            frames.append({"file": match[1], "line": int(match[2]), "function": match[3]})
        elif line and not line.startswith((" ", _HEADER)) and (frames or not begun):
            return frames, lines[number:]
    return frames, []
