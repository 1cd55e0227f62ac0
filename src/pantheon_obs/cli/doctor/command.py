"""Say what is on and why the rest is off, each fault with the line that mends it.

Without an application it examines the environment, the working folder and the installed packages.
With one, `module:app` as a server takes it, the application is imported too, in a process of its
own. With log files it looks for what is missing in them. Exit codes: 0 sound, 1 faults, 2 cannot
tell.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from pantheon_obs.cli.doctor.finding import Finding
from pantheon_obs.cli.doctor.logs import ExaminedLog
from pantheon_obs.cli.doctor.servers import examine_environment
from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.reading.wrappers import Joined
from pantheon_obs.cli.terminal import encoded, paint, printable, write, write_lines
from pantheon_obs.core.settings import Settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = """\
examples:
  pantheon-obs doctor                              the environment and the working folder
  pantheon-obs doctor shop.main:app                the application, too
  pantheon-obs doctor shop.main:app /var/log/shop/ and what its log lines lack
"""

_COLORS = {"fault": "red", "on": "green", "unknown": "yellow", "off": "dim"}
_EXIT = {"sound": 0, "faults": 1, "unknown": 2}
_TARGET = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?::[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:\(\))?)?")
_SECONDS = 120  # for the import of an application
# The working folder is where its modules are looked for, as a server does.
_PROBE = "from pantheon_obs.cli.doctor.application import main; main()"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("target", nargs="?", metavar="module:app", help="the application")
    parser.add_argument("files", nargs="*", metavar="FILE", help="log files, folders, globs, or -")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return the exit code of the verdict."""
    target, files = arguments.target, arguments.files
    if target is not None and (not _TARGET.fullmatch(target) or Path(target).exists()):
        target, files = None, [target, *files]
    if target is None:
        checks = [*examine_environment(Settings.from_env())]
    else:
        checks = [*_examine_application(target)]
    if files:
        checks += _examine_logs(files)
    found = {check.status for check in checks}
    verdict = "faults" if "fault" in found else "unknown" if "unknown" in found else "sound"
    if arguments.json:
        document = {"verdict": verdict, "checks": [check._asdict() for check in checks]}
        write(encoded(document) + b"\n")
    else:
        write_lines(_as_text(checks, verdict))
    return _EXIT[verdict]


def _examine_application(target: str) -> Iterator[Finding]:
    """Examine an application in a process of its own, and the output of its import."""
    with tempfile.TemporaryDirectory() as folder:
        result, printed = Path(folder, "checks.json"), Path(folder, "printed")
        command = [sys.executable, "-c", _PROBE, target, str(result)]
        try:
            # No terminal: the format `auto` means JSON, which can be read here. No pipe: a process
            # that the application starts would keep it open.
            with printed.open("wb") as output:
                subprocess.run(  # noqa: S603 - ourselves
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=_SECONDS,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            yield Finding("application", "unknown", f"{target} was not imported in {_SECONDS} s")
            return
        lines = printed.read_bytes().splitlines()
        if not result.exists():
            last = b"".join(lines[-1:]).decode(errors="replace")
            why = f"{target}: its import has ended the process: {last}"
            yield Finding("application", "unknown", why)
            return
        checks = orjson.loads(result.read_bytes())
    yield from (Finding(**check) for check in checks)
    yield from _warned(lines)


def _warned(lines: list[bytes]) -> Iterator[Finding]:
    """Find the library's own warnings among the printed lines of an application."""
    log = ExaminedLog(())
    for raw in lines:
        if raw.startswith(b"{"):
            log.judge(Joined("-", 0, raw), "-")
    yield from (check for check in log.checks() if check.status == "fault")


def _examine_logs(files: list[str]) -> Iterator[Finding]:
    log = ExaminedLog(find(files))
    for _ in log.lines():
        pass
    yield from log.checks()


def _as_text(checks: list[Finding], verdict: str) -> Iterator[str]:
    """Show the findings, the faults last, where they are seen."""
    width = max(len(check.name) for check in checks)
    for check in sorted(checks, key=lambda each: each.status == "fault"):
        status = paint(f"{check.status:<7}", _COLORS[check.status])
        yield f"{status}  {check.name:<{width}}  {printable(check.why)}"
        if check.fix is not None:
            yield f"{'':9}{'':{width}}  -> {printable(check.fix)}"
    yield verdict
