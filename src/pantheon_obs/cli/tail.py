"""Print one row for each request, websocket, task and LLM call, in the order of the input.

A row has the time, the service, the name, the status or outcome, the duration, tokens and cost
where they are known, and the trace id, which `pantheon-obs story` takes. With --follow it begins at
the end of the files, waits for one that is not there yet, and goes on when one is rotated.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.cli.inputs import FILES, add_files, add_local, note_skipped, show_time
from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.reading.follow import Follower
from pantheon_obs.cli.reading.lines import Reader
from pantheon_obs.cli.stories.items import item_of, name_of
from pantheon_obs.cli.terminal import CommandError, paint, printable, text_of, write_lines
from pantheon_obs.cli.wording import duration, outcome, shown, usage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pantheon_obs.cli.reading.lines import Line
    from pantheon_obs.cli.stories.items import Item

EXAMPLES = f"""\
{FILES}
examples:
  docker compose logs -f | pantheon-obs tail --errors
      failures of all services as they happen
  pantheon-obs tail --slow 1000 --route '/chat/{{id}}' /var/log/shop/
      the slow requests of a route
  pantheon-obs tail -f --where tenant=acme --where stream=true app.log
      the calls of a tenant that stream
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_files(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="wait for new lines")
    parser.add_argument(
        "--errors", action="store_true", help="only failed requests, tasks and calls"
    )
    parser.add_argument(
        "--slow", metavar="MS", type=float, help="only rows of so many milliseconds or more"
    )
    parser.add_argument("--route", metavar="R", help="only requests and websockets of this route")
    parser.add_argument(
        "--where",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="only lines with this value of a field; all of several must hold",
    )
    add_local(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the rows."""
    wanted = _filter(arguments)
    if not arguments.follow:
        reader = Reader(find(arguments.files))
        write_lines(_rows(reader.lines(), wanted, local=arguments.local))
        note_skipped(reader.read)
        return 0
    follower = Follower(arguments.files, from_start=False)
    while True:
        write_lines(_rows(follower.poll(), wanted, local=arguments.local))
        sys.stdout.flush()
        if follower.is_done:
            return 0
        follower.wait()


class Filter(NamedTuple):
    """The options that choose rows; all of them must hold."""

    errors: bool
    slow: float | None
    route: str | None
    where: list[tuple[str, str]]

    def takes(self, item: Item) -> bool:
        """Whether a unit or call is wanted."""
        fields = item.line.fields
        if self.errors and not item.failed:
            return False
        if self.slow is not None and (item.duration is None or item.duration < self.slow):
            return False
        if self.route is not None and not (
            item.kind in ("request", "websocket") and fields.get("route") == self.route
        ):
            return False
        return all(key in fields and text_of(fields[key]) == value for key, value in self.where)


def _filter(arguments: argparse.Namespace) -> Filter:
    where = []
    for condition in arguments.where:
        key, equals, value = condition.partition("=")
        if not (key and equals):
            msg = f"--where {condition} is not accepted: use KEY=VALUE"
            raise CommandError(msg)
        where.append((key, value))
    return Filter(arguments.errors, arguments.slow, arguments.route, where)


def _rows(lines: Iterator[Line], wanted: Filter, *, local: bool) -> Iterator[str]:
    """Give a row for each unit and call that is wanted."""
    for line in lines:
        item = item_of(line, 0)
        if item is not None and not item.nested and wanted.takes(item):
            yield _row(item, local=local)


def _row(item: Item, *, local: bool) -> str:
    fields = item.line.fields
    time = show_time(item.line.time, local=local)
    parts = [
        time.replace(tzinfo=None).isoformat(" ", "milliseconds"),
        f"{printable(item.service):<12}",
        f"{shown(name_of(item.kind, fields)):<32}",
        paint(f"{outcome(item.kind, fields):<16}", "red" if item.failed else "green"),
        f"{duration(item.duration):>10}",
        *filter(None, usage(item.kind, fields)),
        paint(printable(fields.get("trace_id", "-")), "dim"),
    ]
    return "  ".join(parts)
