"""Read a file in blocks of whole lines; gzip is recognised by its first bytes."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import zlib
from typing import TYPE_CHECKING

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


def blocks(source: Source, progress: ProgressLine) -> Iterator[bytes]:
    """Give the bytes of a file in blocks that end with a newline; the last one may lack it.

    Of a line longer than `LONGEST` bytes only the beginning is given. A file that cannot be read to
    its end is read as far as possible, with a note on stderr.

    Raises:
        CommandError: It is the only input, and cannot be opened.
    """
    try:
        descriptor, size = _open(source)
    except OSError as error:
        problem = f"{source.name}: {error.strerror}"
        if source.is_alone:
            raise CommandError(problem) from None
        note(problem)
        return

    def chunks() -> Iterator[bytes]:
        done = 0
        while chunk := os.read(descriptor, BLOCK // 4):  # which stays in the processor's cache
            done += len(chunk)
            progress.at(source.name, done, size)
            yield chunk

    try:
        yield from _whole_lines(_unzipped(source, chunks()))
    except OSError as error:
        note(f"{source.name}: {error.strerror}")
    finally:
        progress.end()
        if source.path != STDIN:
            os.close(descriptor)


def _open(source: Source) -> tuple[int, int]:
    """Return the file's descriptor and size; the size of a pipe is 0."""
    if source.path == STDIN:
        descriptor = sys.stdin.fileno()
        return descriptor, os.fstat(descriptor).st_size
    descriptor = os.open(source.path, WITHOUT_WAITING)
    status = os.fstat(descriptor)
    if stat.S_ISFIFO(status.st_mode):
        _wait_for_writer(descriptor)
    return descriptor, status.st_size


def _wait_for_writer(descriptor: int) -> None:
    """Refuse a named pipe without a writer; reading it would wait for ever."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_WRITER_COMES):
        os.close(descriptor)
        raise TimeoutError(errno.ETIMEDOUT, "nobody writes into this pipe")
    os.set_blocking(descriptor, True)


def _unzipped(source: Source, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unzip the chunks of a gzip file; give all others as they are."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= len(_GZIP):
            break
    if start.startswith(_GZIP):
        yield from _ahead(_inflated(source, start, chunks))
        return
    if start:
        yield start
    yield from chunks


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unzip the next chunk in a thread while this one is searched: zlib does not hold the GIL."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only for gzip

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, b"")
        while chunk := coming.result():
            coming = pool.submit(next, chunks, b"")
            yield chunk


def _inflated(source: Source, start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unzip all members of a gzip file, and stop with a note where it is cut or damaged."""
    member = zlib.decompressobj(wbits=31)
    waiting = start
    try:
        while waiting or (waiting := next(chunks, b"")):
            if member.eof:
                if not waiting.startswith(_GZIP):
                    return  # padding behind the last member
                member = zlib.decompressobj(wbits=31)
            data = member.decompress(waiting, BLOCK)
            waiting = member.unconsumed_tail or member.unused_data
            if data:
                yield data
    except zlib.error:
        note(f"{source.name}: damaged: the rest of the file is not read")
        return
    if not member.eof:
        note(f"{source.name}: cut off: the last lines may be missing")
        yield member.flush()


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
