"""Measure `import pantheon_obs` in a new process; each slice is one interpreter."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

from bench.cases import Case, Contender, Target
from bench.harness import compare

if TYPE_CHECKING:
    from bench.cases import Effort, Row

_OFF = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME", "COVERAGE_PROCESS_START"})
# structlog loads rich where it is installed, which takes as long again.
WITHOUT_RICH = "import sys; sys.modules['rich'] = sys.modules['better_exceptions'] = None\n"
INSTRUMENT = """
import pantheon_obs
async def app(scope, receive, send): ...
pantheon_obs.instrument(app)
"""


def rows(effort: Effort) -> list[Row]:
    """Compare the import with a bare interpreter, and `instrument()` with `import structlog`."""
    bare = _interpreter("pass")
    structlog = _interpreter("import structlog")
    cases = (
        Case(
            work="import (hand: bare interpreter)",
            hand=bare,
            peer=structlog,
            ours=_interpreter("import pantheon_obs"),
            target=Target(hand=1.5),
        ),
        Case(
            work="import and instrument()",
            hand=bare,
            peer=structlog,
            ours=_interpreter(INSTRUMENT),
            target=Target(peer=1.2),
        ),
        Case(
            work="the same without rich",
            hand=bare,
            peer=_interpreter(f"{WITHOUT_RICH}import structlog"),
            ours=_interpreter(f"{WITHOUT_RICH}{INSTRUMENT}"),
            target=Target(peer=1.2),
        ),
        Case(
            work="the same with structlog imported",
            hand=bare,
            peer=_interpreter(f"{WITHOUT_RICH}import structlog"),
            ours=_interpreter(f"{WITHOUT_RICH}import structlog\n{INSTRUMENT}"),
            target=Target(),
        ),
    )
    effort = replace(effort, rounds=effort.import_rounds)
    return [compare(case, effort, clock=children, pieces=1) for case in cases]


def _interpreter(code: str) -> Contender:
    command = [sys.executable, "-c", code]
    # The first, untimed run writes byte code, as an installation does.
    environ = {key: value for key, value in os.environ.items() if key not in _OFF}

    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)  # noqa: S603 - our own code

    return Contender(run=run)


def children() -> int:
    """Return the CPU time of the child processes that have ended, in nanoseconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)
