"""Arguments of the commands that read log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.terminal import note

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

FILES = """\
files: a file, a folder (its files, also in folders below), a glob in quotes, or - for standard
input, which is read if no FILE is given. Rotated files (app.log.1, app.log.2.gz) are read oldest
first. Lines may be wrapped by Docker, Kubernetes, docker compose, syslog or journalctl -o json.
"""


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the argument FILE…."""
    # With a default argparse does not call it required.
    parser.add_argument(
        "files", metavar="FILE", nargs="*", default=[], help="where to look; see files below"
    )


def add_local(parser: argparse.ArgumentParser) -> None:
    """Add the option `--local`."""
    parser.add_argument(
        "--local", action="store_true", help="show times in the machine's time zone, not in UTC"
    )


def note_skipped(read: dict[str, int]) -> None:
    """Say on stderr how many lines were skipped."""
    if read["torn"] or read["foreign"]:
        note(f"skipped {read['torn']:,} torn and {read['foreign']:,} foreign lines")


def show_time(time: datetime, *, local: bool) -> datetime:
    """Return a time of a line, which is in UTC, in the zone in which it is shown."""
    try:
        return time.astimezone() if local else time
    except OverflowError:  # the first and the last day of the calendar
        return time
