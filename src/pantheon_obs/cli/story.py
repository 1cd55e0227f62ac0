"""Tell the story of one trace: the error first, then a waterfall, then its lines.

WHAT is a trace id, with or without the dashes of a UUID; its first 8 or more characters; a
traceparent; or a whole log line in quotes. A trace may go through the files of several services.
Times are shown as the services have written them: their clocks may differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pantheon_obs.cli.inputs import FILES, add_files, add_local, note_skipped
from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.reading.lines import Reader
from pantheon_obs.cli.stories.document import story
from pantheon_obs.cli.stories.search import search
from pantheon_obs.cli.stories.trace_ids import not_accepted, wanted
from pantheon_obs.cli.story_text import as_text
from pantheon_obs.cli.terminal import CommandError, encoded, write, write_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

EXAMPLES = f"""\
{FILES}
examples:
  pantheon-obs story 4bf92f35 /var/log/shop /var/log/worker
      the trace that begins with 4bf92f35, through two services
  docker compose logs --no-color | pantheon-obs story 4bf92f3577b34da6a3ce929d0e0e4736
      from the containers of a project
  pantheon-obs story 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 app.log --json
      by a traceparent, for another program
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", metavar="WHAT", help="the trace that is wanted")
    add_files(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--html", metavar="FILE", help="write one page that works offline")
    add_local(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the story."""
    trace = wanted(arguments.what)
    if trace is None:
        raise CommandError(not_accepted(arguments.what))
    reader = Reader(find(arguments.files))
    lines = search(reader, trace)
    note_skipped(reader.read)
    found = story(lines, reader.read)
    if arguments.html is not None:
        # Jinja2 is an extra, and the page is not always wanted.
        from pantheon_obs.cli.page.render import write_story  # noqa: PLC0415

        write_story(arguments.html, found.document)
    if arguments.json:
        for part in _json_of(found.document):
            write(part)
    elif arguments.html is None:
        write_lines(as_text(found, local=arguments.local))
    return 0


def _json_of(document: dict[str, Any]) -> Iterator[bytes]:
    """Give the document in parts: a long story is never in memory a second time."""
    lines = document["lines"]
    yield encoded({key: document[key] for key in document if key != "lines"})[:-1]
    yield b',"lines":['
    for place, line in enumerate(lines):
        yield (b"," if place else b"") + orjson.dumps(line)
    yield b"]}\n"
