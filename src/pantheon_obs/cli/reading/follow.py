"""Follow files that grow: rotated ones, truncated ones, and those that are not there yet."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from glob import has_magic
from typing import TYPE_CHECKING

from pantheon_obs.cli.reading.blocks import BLOCK, LONGEST, WITHOUT_WAITING
from pantheon_obs.cli.reading.files import STDIN, Source, find, source_of
from pantheon_obs.cli.reading.lines import Line, Reader
from pantheon_obs.cli.reading.wrappers import Unwrapper
from pantheon_obs.cli.terminal import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_COMPARED = 256  # bytes
_PAUSE = 0.2  # seconds between two looks at the files


class Follower:
    """Follow files and standard input.

    Attributes:
        read: The counts of the files and lines that were read so far, as in `Reader.read`.
        once: Zipped files, which do not grow and are not followed.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        from_start: bool,
        echo: Callable[[bytes], None] | None = None,
    ) -> None:
        """Begin to follow.

        Args:
            names: Files, folders, globs and `-`. Folders and globs are looked up now; a file that
                is named may come later.
            from_start: Whether files are read from their start, not only their new lines.
            echo: Called with all bytes of standard input.
        """
        waiting = [
            name
            for name in names
            if not (name == STDIN or has_magic(name) or os.path.lexists(name))
        ]
        there = [name for name in names if name not in waiting]
        sources = find(there) if there or not names else []
        for name in waiting:
            note(f"{name}: waiting for this file")
            sources.append(source_of(name, len(sources)))
        self._reader = Reader(())
        self.read = self._reader.read
        self._files = [
            _Followed(source, from_start=from_start or source.path in waiting, echo=echo)
            for source in sources
            if not source.path.endswith(".gz")
        ]
        self.once = [source for source in sources if source.path.endswith(".gz")]
        self.read["files"] = len(self._files)

    @property
    def is_done(self) -> bool:
        """Whether nothing more can come: standard input was all, and has ended."""
        return all(file.has_ended for file in self._files)

    @property
    def is_piped(self) -> bool:
        """Whether standard input is followed and has not ended."""
        return any(file.source.path == STDIN and not file.has_ended for file in self._files)

    def poll(self) -> Iterator[Line]:
        """Give the lines of ours that have come since."""
        for file in self._files:
            for line in file.lines():
                self.read["lines"] += 1
                joined = file.unwrapper.feed(file.source.name, file.number, line)
                ours = joined and self._reader.judge(joined, file.source.service)
                if ours:
                    yield ours

    def wait(self) -> None:
        """Wait until standard input has something, or until it is time to look at the files."""
        if self.is_piped:
            select.select([sys.stdin.fileno()], [], [], _PAUSE)
        else:
            time.sleep(_PAUSE)


class _Followed:
    """One file that is followed."""

    def __init__(
        self, source: Source, *, from_start: bool, echo: Callable[[bytes], None] | None
    ) -> None:
        self.source = source
        self.unwrapper = Unwrapper()
        self.number = 0
        self.has_ended = False
        self._rest = b""
        self._echo = echo
        self._descriptor = sys.stdin.fileno() if source.path == STDIN else self._open()
        self._before = b""  # the last bytes that were read, to see whether others took their place
        follows_end = not from_start and source.path != STDIN
        if follows_end and self._descriptor is not None and _is_file(self._descriptor):
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            start = max(0, end - _COMPARED)
            self._before = os.pread(self._descriptor, end - start, start)

    def lines(self) -> Iterator[bytes]:
        """Give the whole lines that have come."""
        while chunk := self._chunk():
            *whole, rest = (self._rest + chunk).split(b"\n")
            # The rest of a line that is too long is thrown away, so it ends torn.
            self._rest = rest[:LONGEST]
            for line in whole:
                self.number += 1
                yield line
        if self._rest and self._descriptor is None:
            self.number += 1
            yield self._rest
            self._rest = b""

    def _chunk(self) -> bytes:
        """Read the new bytes, and go on with the next file where this one was rotated."""
        if self.source.path == STDIN:
            return self._from_stdin()
        if self._descriptor is None:
            self._descriptor = self._open()
        if self._descriptor is None:
            return b""
        try:
            chunk = os.read(self._descriptor, BLOCK)
        except BlockingIOError:  # nothing new in a named pipe
            return b""
        if chunk and self._was_rewritten(self._descriptor, len(chunk)):
            return self._from_start(self._descriptor)
        self._before = (self._before + chunk)[-_COMPARED:]
        return chunk or self._after_end(self._descriptor)

    def _was_rewritten(self, descriptor: int, length: int) -> bool:
        """Whether the file was truncated, and has grown beyond the old end before it was looked at.

        Args:
            descriptor: The file.
            length: The number of bytes that were read after the old end.
        """
        if not _is_file(descriptor):
            return False  # a named pipe
        old_end = os.lseek(descriptor, 0, os.SEEK_CUR) - length
        start = old_end - len(self._before)
        return os.pread(descriptor, len(self._before), start) != self._before

    def _from_start(self, descriptor: int) -> bytes:
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._rest = self._before = b""
        return self._chunk()

    def _from_stdin(self) -> bytes:
        descriptor = self._descriptor
        if descriptor is None or not select.select([descriptor], [], [], 0)[0]:
            return b""
        chunk = os.read(descriptor, BLOCK)
        if not chunk:
            self.has_ended = True
            self._descriptor = None
        elif self._echo is not None:
            self._echo(chunk)
        return chunk

    def _after_end(self, descriptor: int) -> bytes:
        """Look at the end of a file whether it was rotated or truncated."""
        old = os.fstat(descriptor)
        try:
            new = os.stat(self.source.path)  # noqa: PTH116
        except OSError:  # rotated away, and the new one is not there yet
            return b""
        if (old.st_dev, old.st_ino) != (new.st_dev, new.st_ino):
            os.close(descriptor)
            self._descriptor = self._open()
            begun, self._rest, self._before = self._rest, b"", b""
            return begun + b"\n" if begun else self._chunk()
        if _is_file(descriptor) and new.st_size < os.lseek(descriptor, 0, os.SEEK_CUR):
            return self._from_start(descriptor)
        return b""

    def _open(self) -> int | None:
        try:
            return os.open(self.source.path, WITHOUT_WAITING)
        except OSError:
            return None


def _is_file(descriptor: int) -> bool:
    """Whether one can seek in it, unlike in a pipe."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
