"""Count requests by route, errors in groups, and LLM calls by model, with their cost.

Counts of requests whose service sets `keep_rate` are restored. A window begins at --since and ends
before --until: a time in ISO 8601, in UTC unless it says otherwise, or an age such as 90s, 15m, 1h
or 2d. --compare shows what changed against the window of the same length before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.inputs import FILES, add_files, note_skipped
from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.report.document import report
from pantheon_obs.cli.report.duck import Duck
from pantheon_obs.cli.report.summary import summary
from pantheon_obs.cli.report.windows import Window, parse_time
from pantheon_obs.cli.terminal import CommandError, encoded, write, write_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pantheon_obs.cli.reading.files import Source

EXAMPLES = f"""\
{FILES}
examples:
  pantheon-obs report /var/log/shop --since 1h --compare
      the last hour, and what changed against the hour before
  pantheon-obs report /var/log/shop --by tenant --html report.html
      LLM calls by tenant too, as a page that works offline
  pantheon-obs report --clickhouse http://localhost:8123 --since 7d --json
      of the lines in ClickHouse, in the table of `pantheon-obs schema --format clickhouse`
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_files(parser)
    parser.add_argument("--since", metavar="TIME", help="only lines of this time or later")
    parser.add_argument("--until", metavar="TIME", help="only lines before this time")
    parser.add_argument("--by", metavar="FIELD", help="group LLM calls by this field as well")
    parser.add_argument(
        "--compare", action="store_true", help="report the window before --since as well"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--html", metavar="FILE", help="write one page that works offline")
    parser.add_argument(
        "--clickhouse", metavar="URL", help="count in ClickHouse, over its HTTP interface"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print or write the report."""
    window = _window(arguments)
    if arguments.clickhouse is not None and arguments.files:
        msg = "--clickhouse reads no files: leave FILE or --clickhouse out"
        raise CommandError(msg)
    sources = [] if arguments.clickhouse is not None else find(arguments.files)
    if arguments.html is None:
        counted = _report(arguments, window, sources)
    else:
        # The page and its stories take a while to import.
        from pantheon_obs.cli.report.traces import rereadable, write_report  # noqa: PLC0415

        with rereadable(sources) as kept:
            counted = _report(arguments, window, kept)
            write_report(arguments.html, counted, kept)
    if arguments.json:
        write(encoded(counted) + b"\n")
    elif arguments.html is None:
        write_lines(summary(counted))
    return 0


def _report(
    arguments: argparse.Namespace, window: Window, sources: Sequence[Source]
) -> dict[str, Any]:
    """Let ClickHouse count its lines, or DuckDB the lines of the files."""
    if arguments.clickhouse is not None:
        # Its HTTP client takes longer to import than all other modules of the command.
        from pantheon_obs.cli.report.clickhouse import ClickHouse  # noqa: PLC0415

        server = ClickHouse(arguments.clickhouse, arguments.by)
        return report(server, window, server.read(), compare=arguments.compare)
    with Duck(arguments.by) as duck:
        read = duck.load(sources)
        note_skipped(read)
        return report(duck, window, read, compare=arguments.compare)


def _window(arguments: argparse.Namespace) -> Window:
    now = time.time_ns() // 1000
    ends = {}
    for name in ("since", "until"):
        text = getattr(arguments, name)
        try:
            ends[name] = None if text is None else parse_time(text, now)
        except (ValueError, OverflowError):
            msg = f"--{name} {text} is not accepted: use a time in ISO 8601, or an age such as 15m"
            raise CommandError(msg) from None
    if arguments.compare:
        if ends["since"] is None:
            msg = "--compare needs --since, which says how long a window is"
            raise CommandError(msg)
        ends["until"] = now if ends["until"] is None else ends["until"]
    return Window(**ends)
