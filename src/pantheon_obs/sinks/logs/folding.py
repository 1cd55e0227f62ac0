"""Fold the frames of a traceback that are not of the application, so that its own stand out."""

from __future__ import annotations

import re

from pantheon_obs.core.installed import root_of

# In the traceback of an exception group a margin of bars stands before the lines.
_FRAME = re.compile(
    r'(?P<margin>[ |+-]*?)  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.*)'
)


def folded(traceback: str) -> str:
    """Fold each frame outside of the application to one line, `package/module.py:12 in name`.

    A traceback without a frame of the application stays as it is.
    """
    frames = [_FRAME.fullmatch(line) for line in traceback.split("\n")]
    if all(root_of(frame["file"]) is not None for frame in frames if frame is not None):
        return traceback
    lines: list[str] = []
    source = ""  # the beginning of the lines of source below a frame that is folded
    for frame, line in zip(frames, traceback.split("\n"), strict=True):
        if frame is None:
            if not (source and line.startswith(source)):
                source = ""
                lines.append(line)
            continue
        root = root_of(frame["file"])
        source = "" if root is None else f"{frame['margin']}    "
        short = f"{frame['margin']}  {frame['file'][len(root or '') :]}:{frame['line']}"
        lines.append(line if root is None else f"{short} in {frame['name']}")
    return "\n".join(lines)
