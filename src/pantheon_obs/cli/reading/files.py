"""Find the files that were named: files, globs, folders and standard input, in order."""

from __future__ import annotations

import os
import re
import stat
import sys
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.cli.terminal import CommandError, note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STDIN = "-"

# A rotated file has a number, a date or a time behind its name, or in front of its ending.
_STAMP = (
    r"\d{4}-?\d{2}-?\d{2}(?:[T_.-]?\d{2}[-:]?\d{2}(?:[-:]?\d{2}(?:\.\d+)?)?|[-_.T]?\d{2})?|\d{10}"
)
_BEHIND = re.compile(rf"(?P<base>.+?)(?:\.(?P<number>\d{{1,4}})|[.-](?P<stamp>{_STAMP}))$")
_BEFORE_ENDING = re.compile(rf"(?P<base>.+?)[.-](?P<stamp>{_STAMP})(?P<ending>\.[A-Za-z]\w*)$")


class Source(NamedTuple):
    """A file to read.

    Attributes:
        path: The path to open; `-` is standard input.
        name: The path as it was given or found, as text.
        service: The service of the lines that do not name one.
        group: The place of the file among the inputs; rotated files of one log share it.
        is_alone: Whether it is the only input.
    """

    path: str
    name: str
    service: str
    group: int
    is_alone: bool = False


class Rotation(NamedTuple):
    """A file name without its rotation, and the rotation's place: the oldest sorts first."""

    base: str
    age: tuple[int, str, int]


def rotation(name: str) -> Rotation:
    """Take the rotation off a file's name, which has no folder.

    `shop.log`, `shop.log.1`, `shop.log.2.gz`, `shop.log-20261129.gz` and `shop-2026-11-29.log` are
    one file.
    """
    plain = name.removesuffix(".gz")
    if match := _BEFORE_ENDING.match(plain):
        return Rotation(match["base"] + match["ending"], (0, match["stamp"], 0))
    if match := _BEHIND.match(plain):
        if match["stamp"]:
            return Rotation(match["base"], (0, match["stamp"], 0))
        return Rotation(match["base"], (1, "", -int(match["number"])))
    return Rotation(plain, (2, "", 0))


def service_of(name: str) -> str:
    """Name the service after a file: no folder, no rotation, no ending."""
    base = rotation(os.path.basename(name)).base  # noqa: PTH119 - Path would import more
    return os.path.splitext(base)[0]  # noqa: PTH122


def source_of(path: str, group: int, *, is_alone: bool = False) -> Source:
    """Make the source of a file; its name may be bytes that are no text."""
    name = os.fsencode(path).decode("utf-8", "replace")
    return Source(path, name, service_of(name), group, is_alone)


def find(names: Sequence[str]) -> list[Source]:
    """Find the files of the arguments, in their order; rotated ones oldest first.

    Args:
        names: Files, globs, folders, or `-`. None at all is standard input.

    Raises:
        CommandError: There is no input, or no file can be read.
    """
    if not names and (sys.stdin is None or sys.stdin.isatty()):
        msg = "no input: name a file, a folder or a glob, or pipe log lines into standard input"
        raise CommandError(msg)
    problems: list[str] = []
    paths = list(_unique(_expand(names or [STDIN], problems)))
    if problems and not paths:
        raise CommandError("; ".join(problems))
    for problem in problems:
        note(problem)
    return _in_order(paths)


def _expand(names: Iterable[str], problems: list[str]) -> Iterator[str]:
    """Give the readable files; say of each other name why it is left out."""
    for name in names:
        if name == STDIN and sys.stdin is None:
            problems.append("-: standard input is closed")
        elif name == STDIN:
            yield name
        elif os.path.lexists(name):
            yield from _inside(name, problems)
        elif has_magic(name):
            matches = sorted(glob(name, recursive=True))  # noqa: PTH207 - it may be absolute
            for match in matches:
                yield from _inside(match, problems)
            if not matches:
                problems.append(f"{name}: no file matches")
        else:
            problems.append(f"{name}: there is no such file")


def _inside(path: str, problems: list[str]) -> Iterator[str]:
    """Give a file, or all files of a folder but hidden ones."""
    if Path(path).is_dir():
        unread: list[OSError] = []
        for folder, folders, files in os.walk(path, onerror=unread.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in files if not name.startswith(".")):
                path = os.path.join(folder, name)  # noqa: PTH118
                if Path(path).is_fifo():  # nobody may ever write into it
                    problems.append(f"{path}: a pipe is read only where it is named itself")
                else:
                    yield from _inside(path, problems)
        problems += [f"{error.filename}: {error.strerror}" for error in unread]
    elif problem := _unreadable(path):
        problems.append(problem)
    else:
        yield path


def _unreadable(path: str) -> str | None:
    """Say why a file cannot be read; None if it can."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a path of bytes that are no text
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or path == os.devnull):
        return f"{path}: neither a file nor a folder"
    if not os.access(path, os.R_OK):
        return f"{path}: no permission to read it"
    return None


def _unique(paths: Iterable[str]) -> Iterator[str]:
    """Leave out files that were found before, perhaps under another name."""
    seen = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _in_order(paths: Iterable[str]) -> list[Source]:
    """Bring the rotated files of one log together."""
    groups: dict[tuple[str, str], list[tuple[tuple[int, str, int], str]]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        base, age = rotation(name)
        groups.setdefault((folder, base), []).append((age, path))
    return [
        source_of(path, number, is_alone=len(groups) == len(group) == 1)
        for number, group in enumerate(groups.values())
        for _, path in sorted(group)
    ]
