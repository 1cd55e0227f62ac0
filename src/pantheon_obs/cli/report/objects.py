"""Read the lines of log files that begin as JSON objects do, for DuckDB to judge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pantheon_obs.cli.reading.blocks import BLOCK
from pantheon_obs.cli.reading.lines import Reader, parsed
from pantheon_obs.cli.reading.wrappers import JOURNAL, has
from pantheon_obs.cli.report.facts import GROUPED
from pantheon_obs.cli.terminal import encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pantheon_obs.cli.reading.files import Source
    from pantheon_obs.cli.reading.wrappers import Joined


_COMMA = re.compile(rb",\s*[}\]]").search
# Where none of these is found `_COMMA` finds nothing; commas are more frequent and take longer.
_END = {b"}": re.compile(rb"}(?<=[,\s].)").search, b"]": re.compile(rb"](?<=[,\s].)").search}
_NO_OBJECT = re.compile(rb'\n(?:[^{]|{"log")').search  # or Docker's, which contains one


class ObjectReader(Reader):
    """A `Reader` of whole blocks, which leaves it to DuckDB to judge objects.

    Attributes:
        given: How many lines were given.
    """

    given = 0

    def objects(self, source: Source) -> Iterator[bytes]:
        """Give the lines of each block of a file that begin as objects do, unwrapped."""
        for number, block in self.blocks(source):
            if not self.unwrapper.waits() and _is_plain(block):
                self.given += block.count(b"\n") + (not block.endswith(b"\n"))
                yield block
            else:
                lines = enumerate(block.removesuffix(b"\n").split(b"\n"), number)
                fed = (self.unwrapper.feed(source.name, place, line) for place, line in lines)
                yield self._kept(filter(None, fed))

    def rest(self) -> bytes:
        """Give the lines of a log whose last parts never came."""
        return self._kept(self.unwrapper.end())

    def _kept(self, lines: Iterable[Joined]) -> bytes:
        """Leave out blank lines, and foreign ones, which are counted."""
        texts = [line.text for line in lines if line.text]
        objects = [text for text in texts if text.startswith(b"{")]
        self.read["foreign"] += len(texts) - len(objects)
        self.given += len(objects)
        return b"\n".join(objects)


def _is_plain(block: bytes) -> bool:
    """Whether each line of a block begins as an object does that nothing wraps."""
    return (
        block.startswith(b"{")
        and not block.startswith(b'{"log"')
        and _NO_OBJECT(block) is None
        and not has(block, JOURNAL)
        and len(block) < 3 * BLOCK  # else a line is long, and may fill the memory when parsed
    )


def is_odd(lines: bytes) -> bool:
    """Whether lines may contain something that DuckDB takes for JSON, and the standard does not."""
    may_end = any(end in lines and found(lines) for end, found in _END.items())
    return bool(may_end and _COMMA(lines)) or has(lines, b"NaN") or has(lines, b"Infinity")


def repaired(lines: bytes, by: str | None) -> tuple[bytes, int]:
    """Write lines anew that DuckDB refuses or misreads, and count the torn ones.

    Of a key that comes twice the last counts.

    Args:
        lines: Lines that begin as JSON objects do.
        by: A field whose value is written under the key `GROUPED` as well.
    """
    split = lines.removesuffix(b"\n").split(b"\n")
    objects = [fields for fields in map(parsed, split) if fields is not None]
    if by is not None:
        for fields in objects:
            fields[GROUPED] = fields.get(by)
    return b"".join(encoded(fields) + b"\n" for fields in objects), len(split) - len(objects)
