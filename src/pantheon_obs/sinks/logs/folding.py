"""Fold the frames of a traceback that are not of the application, so that its own stand out."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from pantheon_obs.core.stack import installed

# In the traceback of an exception group a margin of bars stands before the lines.
_FRAME = re.compile(
    r'(?P<margin>[ |+-]*?)  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.*)'
)


def folded(traceback: str) -> str:
    """Fold each frame outside of the application to one line, `package/module.py:12 in name`.

    A traceback without a frame of the application stays as it is.
    """
    frames = [_FRAME.fullmatch(line) for line in traceback.split("\n")]
    if all(_root_of(frame["file"]) is not None for frame in frames if frame is not None):
        return traceback
    lines: list[str] = []
    source = ""  # the beginning of the lines of source below a frame that is folded
    for frame, line in zip(frames, traceback.split("\n"), strict=True):
        if frame is None:
            if not (source and line.startswith(source)):
                source = ""
                lines.append(line)
            continue
        root = _root_of(frame["file"])
        source = "" if root is None else f"{frame['margin']}    "
        short = f"{frame['margin']}  {frame['file'][len(root or '') :]}:{frame['line']}"
        lines.append(line if root is None else f"{short} in {frame['name']}")
    return "\n".join(lines)


@lru_cache
def _root_of(file: str) -> str | None:
    """Find the folder of installed code that a file belongs to; None if it is the application's."""
    if file.startswith("<frozen "):  # of the interpreter itself
        return ""
    return next((root for begins, root in _roots() if file.startswith(begins)), None)


@lru_cache(1)
def _roots() -> tuple[tuple[str, str], ...]:
    """List where the files of installed code begin, and the folder to leave out of their names.

    The longest come first: packages are often installed below the standard library.
    """
    roots = {folder: folder for folder in installed()}
    package = Path(__file__).parents[2]  # of this library, the name of the package is kept
    roots[f"{package}{os.sep}"] = f"{package.parent}{os.sep}"
    return tuple(sorted(roots.items(), key=lambda root: len(root[0]), reverse=True))
