"""`pantheon-obs`: choose the command, run it, and turn errors into one line and an exit code.

Exit codes that `--help` does not name: 130 interrupted, 141 the reader of stdout has left.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TextIO

from pantheon_obs._version import __version__
from pantheon_obs.cli.terminal import CommandError, note
from pantheon_obs.core.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_CLOSED_PIPE = 141


class Command(NamedTuple):
    """One row of the table: the module is imported only when the command runs."""

    name: str
    summary: str
    module: str


COMMANDS = (
    Command("story", "tell what happened in one trace", "pantheon_obs.cli.story"),
    Command("tail", "print one row per request, task and call", "pantheon_obs.cli.tail"),
    Command("report", "count requests, errors and LLM calls", "pantheon_obs.cli.report.command"),
    Command("serve", "show the report live in a browser", "pantheon_obs.cli.serve.command"),
    Command("doctor", "say what is on and what is wrong", "pantheon_obs.cli.doctor.command"),
    Command("schema", "print the schema of the log lines, or a table's", "pantheon_obs.cli.schema"),
    Command("completion", "print the shell's completion script", "pantheon_obs.cli.completion"),
)
_DESCRIPTION = """\
Read the log lines of pantheon-obs: one JSON object per line, plain or as Docker, Kubernetes,
docker compose and syslog wrap them, rotated and gzipped, from files, folders or standard input.
"""
_EXAMPLES = """\
examples:
  pantheon-obs story 4bf92f35 /var/log/shop/       what happened in this trace
  docker logs shop | pantheon-obs tail --errors    the requests that failed
  pantheon-obs schema --format clickhouse          the table for ClickHouse
"""
_EXIT_CODES = """\
exit codes:
  0 done; 1 nothing found, or faults (doctor); 2 used wrongly, no readable file, or cannot tell
"""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that reports an error in one line."""

    @property
    def arguments(self) -> list[argparse.Action]:
        """Return the arguments, for the scripts of the shells."""
        return self._actions

    def error(self, message: str) -> NoReturn:
        """Print the error without the usage, and exit with 2."""
        self.exit(2, f"{self.prog}: {message}: see {self.prog} --help\n")


def build_parser(wanted: Sequence[str]) -> tuple[Parser, dict[str, Parser]]:
    """Make the parser and the commands' parsers; only the wanted ones get their arguments."""
    parser = Parser(
        prog="pantheon-obs",
        description=_DESCRIPTION,
        epilog=f"{_EXAMPLES}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pantheon-obs {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        child = commands.add_parser(
            command.name,
            help=command.summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command.name in wanted:
            module: Any = import_module(command.module)
            child.description = module.__doc__
            child.epilog = f"{module.EXAMPLES}\n{_EXIT_CODES}"
            module.configure(child)
            child.set_defaults(run=module.run)
    return parser, commands.choices


def _parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; FILE may also stand behind options, which argparse does not accept."""
    chosen, others = parser.parse_known_args(words)
    unknown = [word for word in others if word.startswith("-") and word != "-"]
    if unknown or (others and "files" not in chosen):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if others:
        chosen.files = [*chosen.files, *others]
    return chosen


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: The arguments without the program's name; the process's arguments by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # Python sets them to None if the descriptor was closed (`>&-`).
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    try:
        parser, _ = build_parser(words)
        chosen = _parse(parser, words)
        code: int = chosen.run(chosen)
        sys.stdout.flush()
    except (CommandError, MissingExtraError) as error:
        note(str(error))
        return getattr(error, "code", 2)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        # The interpreter flushes stdout once more when it exits, and must not report this then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _CLOSED_PIPE
        note(f"{error.strerror}")  # the disk is full, for example
        return 2
    return code
