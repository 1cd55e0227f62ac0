"""Read a file in blocks of whole lines; gzip is recognised by its first bytes."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import zlib
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.reading.files import STDIN, Source
from pantheon_obs.cli.terminal import CommandError, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.cli.terminal import ProgressLine

# A named pipe may have no writer yet, and Windows would change the ends of lines.
WITHOUT_WAITING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
BLOCK = 1 << 20
LONGEST = 16 << 20  # bytes of a line: parsed, it takes up to 25 times as much
_KEPT = 1 << 16  # bytes of a longer line that are given, so that it is counted
_GZIP = b"\x1f\x8b"
_WRITER_COMES = 2000  # milliseconds


class _File(FileIO):
    """A file that gives its first two bytes at once: gzip is recognised by them."""

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        """Read two bytes or more, unless the file ends before: a pipe may give one."""
        count = super().readinto(buffer)
        return count + super().readinto(memoryview(buffer)[1:]) if count == 1 else count


def blocks(source: Source, progress: ProgressLine) -> Iterator[bytes]:
    """Give the bytes of a file in blocks that end with a newline; the last one may lack it.

    Of a line longer than `LONGEST` bytes only the beginning is given. A file that cannot be read to
    its end is read as far as possible, with a note on stderr.

    Raises:
        CommandError: It is the only input, and cannot be opened.
    """
    try:
        file = _open(source)
    except OSError as error:
        problem = f"{source.name}: {error.strerror}"
        if source.is_alone:
            raise CommandError(problem) from None
        note(problem)
        return
    status = os.fstat(file.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    done = 0
    try:
        for block in _whole_lines(_chunks(source.name, file)):
            done += len(block)
            progress.at(source.name, file.raw.tell() if size else done, size)
            yield block
    except OSError as error:
        note(f"{source.name}: {error.strerror}")
    finally:
        progress.end()
        file.close()


def _open(source: Source) -> BufferedReader:
    if source.path == STDIN:
        return BufferedReader(_File(sys.stdin.fileno(), closefd=False), BLOCK)
    descriptor = os.open(source.path, WITHOUT_WAITING)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        _wait_for_writer(descriptor)
    return BufferedReader(_File(descriptor), BLOCK)


def _wait_for_writer(descriptor: int) -> None:
    """Refuse a named pipe without a writer; reading it would wait for ever."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_WRITER_COMES):
        os.close(descriptor)
        raise TimeoutError(errno.ETIMEDOUT, "nobody writes into this pipe")
    os.set_blocking(descriptor, True)


def _chunks(name: str, file: BufferedReader) -> Iterator[bytes]:
    """Give the bytes of a file, those of a gzip file unzipped."""
    if file.peek(len(_GZIP)).startswith(_GZIP):
        yield from _ahead(_unzipped(name, file))
    else:
        while chunk := file.read1(BLOCK // 4):  # which stays in the processor's cache
            yield chunk


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unzip the next chunk in a thread while this one is searched: zlib does not hold the GIL."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only for gzip

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, b"")
        while chunk := coming.result():
            coming = pool.submit(next, chunks, b"")
            yield chunk


def _unzipped(name: str, file: BufferedReader) -> Iterator[bytes]:
    """Unzip a gzip file, and stop with a note where it is cut or damaged."""
    from gzip import BadGzipFile, GzipFile  # noqa: PLC0415 - as above

    try:
        with GzipFile(fileobj=file) as zipped:
            while data := zipped.read1(BLOCK):
                yield data
    except EOFError:
        note(f"{name}: cut off: the last lines may be missing")
    except (BadGzipFile, zlib.error):
        note(f"{name}: damaged: the rest of the file is not read")


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut blocks behind their last newline."""
    rest: list[bytes] = []
    length = 0
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            # A longer line is left out from here to its end, and its beginning stands for it.
            if length < LONGEST:
                rest.append(chunk)
                length += len(chunk)
                if length >= LONGEST:
                    rest = [b"".join(rest)[:_KEPT]]
            continue
        if length >= LONGEST:
            first = chunk.find(b"\n")
            yield rest[0] + chunk[first:cut]
        else:
            yield b"".join((*rest, memoryview(chunk)[:cut]))  # copied once
        rest = [chunk[cut:]] if cut < len(chunk) else []
        length = len(chunk) - cut
    if rest:
        yield b"".join(rest)
