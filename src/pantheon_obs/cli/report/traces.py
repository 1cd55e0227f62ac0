"""Collect the stories behind the examples of a report, all in one pass over the files."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from pantheon_obs.cli.page.render import embedded_story, render, shortened, write_page
from pantheon_obs.cli.reading.blocks import blocks
from pantheon_obs.cli.reading.lines import Reader
from pantheon_obs.cli.stories.document import story
from pantheon_obs.cli.stories.trace_ids import canonical
from pantheon_obs.cli.terminal import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pantheon_obs.cli.reading.files import Source
    from pantheon_obs.cli.reading.lines import Line

MOST_STORIES = 1000
MOST_LINES = 5000  # of a story
_TRACE_ID = re.compile(rb'trace_id\\*"\s*:\s*\\*"([^"\\]+)')  # in a wrapped line escaped


def write_report(path: str, report: dict[str, Any], sources: Sequence[Source]) -> None:
    """Write the page of a report to a file, with the stories behind its examples."""
    data = {"report": shortened(report), "stories": _stories(sources, _examples(report))}
    write_page(path, render("Report", data))


def _examples(report: dict[str, Any]) -> list[str]:
    """List the trace ids that have a story in the page of a report."""
    slowest = (row["slowest"] for row in report["requests"])
    shown = (*slowest, *(row["example"] for row in report["errors"]))
    ids = (example["trace_id"] for example in shown if example)
    return list(dict.fromkeys(trace_id for trace_id in ids if trace_id is not None))[:MOST_STORIES]


@contextmanager
def rereadable(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Give sources that can be read twice: the bytes of a pipe are kept in a file meanwhile."""
    with TemporaryDirectory(prefix="pantheon-obs-") as folder:
        yield [_copied(source, Path(folder, str(place))) for place, source in enumerate(sources)]


def _copied(source: Source, path: Path) -> Source:
    if Path(source.path).is_file():
        return source
    with path.open("wb") as file:
        file.writelines(blocks(source, ProgressLine()))
    return source._replace(path=str(path))


def _stories(sources: Sequence[Source], trace_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Make the stories of some traces, by their ids as given, as a page embeds them."""
    names: dict[str, list[str]] = {}
    for trace_id in trace_ids:
        names.setdefault(canonical(trace_id), []).append(trace_id)
    reader = Reader(sources if names else ())
    found: dict[str, list[Line]] = {}
    for line in reader.lines(cast("re.Pattern[bytes]", _AnyOf(names))):
        key = canonical(line.fields.get("trace_id", ""))
        lines = found.setdefault(key, []) if key in names else None
        if lines is not None and len(lines) < MOST_LINES:
            lines.append(line)
    return {
        name: embedded_story({**story(lines, reader.read).document, "trace_id": name})
        for key, lines in found.items()
        for name in names[key]
    }


class _AnyOf:
    """A pattern, as far as `Reader` uses one, that finds any of some trace ids."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = {_undashed(key.encode()) for key in keys}

    def search(self, text: bytes, start: int = 0) -> re.Match[bytes] | None:
        """Return the first place of one of the ids."""
        for match in _TRACE_ID.finditer(text, start):
            if _undashed(match[1]) in self._keys:
                return match
        return None


def _undashed(trace_id: bytes) -> bytes:
    """Make ids equal that are of one trace, and few others."""
    return trace_id.replace(b"-", b"").lower()
