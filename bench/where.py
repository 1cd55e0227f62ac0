"""Show where the work of the library goes: the floor of the rows that miss their targets.

Counts bytecode instructions, which do not depend on how busy the machine is, less those of the
bare work. `make bench-where` prints two tables of docs/performance.md: the parts of each row in
`ROWS`, and of the set-up, which valgrind counts. `python -m bench.where story "ASGI, whole story
made"` lists the functions of one row.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from bench import harness
from bench.cases import COUNTED
from bench.families import measure
from bench.imports import INSTRUMENT, WITHOUT_RICH

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from bench.cases import Case, Contender

    Counts = Counter[str]

ROWS = {
    "trace": "ASGI, trace id made",
    "disabled": "ASGI, trace id made, line disabled",
    "story": "ASGI, whole story made",
    "django": "Django WSGI, whole story",
    "llm": "LLM call, sync",
}
_PIECES = 50
_WARM = 300
_PACKAGE = "/pantheon_obs/"
# Each step has those before it.
_SET_UP = {
    "the interpreter": "",
    "orjson and the standard library": (
        "import dataclasses, inspect, logging, orjson, select, signal, threading"
    ),
    "the modules of the library": "import pantheon_obs._instrument, pantheon_obs.adapters.asgi",
    "the call of `instrument()`, and its first line": INSTRUMENT,
}
_COMPARED = {
    "`import structlog`": "import structlog",
    "both": f"import structlog\n{INSTRUMENT}",
}

# How the names of files and functions of each part begin; the first part that fits counts.
_PARTS = {
    "reads or makes the id": (
        *("core/identity", "core/trace_id", "core/foreign", "adapters/wsgi_environ"),
    ),
    "makes the trace, enters and leaves its context": (
        *("core/context", "core/serving", "adapters/asgi_exchange.py:__init__"),
        "adapters/django/exchange.py:__init__",
    ),
    "decides the outcome, makes the event and its fields": (
        *("core/exchange", "core/facts", "core/outcome", "core/texts", "core/events"),
        *("core/llm_events", "core/pipeline", "adapters/asgi_exchange.py:route", "adapters/routes"),
    ),
    "passes messages on, with the id, and looks at them": (
        *("adapters/asgi_exchange", "adapters/asgi_headers", "core/response_headers"),
        "adapters/django/middleware.py:_put_id_on",
    ),
    "the middleware around the application": ("adapters", "sinks/sentry/apps"),
    "the line's level, and who else wants its record": ("sinks/logs/handler",),
    "builds the line, redacts and renders it": (
        "sinks/logs/line",
        "sinks/logs/formats",
        "sinks/redact",
        "sinks/logs/emitter",
    ),
    "flushes what was printed, and writes": ("sinks/logs/output", "sinks/logs/muting"),
    "reads the answer: usage, model, end, errors": ("llm/usage", "llm/observe/whole_answers"),
    "the cost": ("llm/cost",),
    "times the call and keeps its trace": ("llm", "core"),
    "the framework, for what it is given": ("",),
}


def main() -> None:
    """Print the tables, or the functions of one row."""
    if len(sys.argv) > 1:
        _, ours = _counted(*sys.argv[1:])
        for name, number in ours.most_common():
            print(f"{number:8,.0f} {number / ours.total():6.1%}  {name}")
        return
    counts = [_counted(family, work) for family, work in ROWS.items()]
    parts = [_by_part(ours) for _, ours in counts]
    _print_row("instructions", ROWS.values())
    _print_row("---", repeat("---", len(ROWS)))
    for part in _PARTS:
        _print_row(part, (_shown(found[part], found.total()) for found in parts))
    _print_row("all", (f"{ours.total():,}" for _, ours in counts))
    _print_row("by hand", (f"{hand.total():,}" for hand, _ in counts))
    print()
    _print_row("set-up without rich", ("million instructions", "share"))
    _print_row("---", ("---", "---"))
    counts = [_instructions(f"{WITHOUT_RICH}{code}") for code in _SET_UP.values()]
    for step, count, before in zip(_SET_UP, counts, (0, *counts), strict=False):
        _print_row(step, (f"{(count - before) / 1e6:.0f}", f"{(count - before) / counts[-1]:.0%}"))
    for name, code in _COMPARED.items():
        count = _instructions(f"{WITHOUT_RICH}{code}")
        _print_row(name, (f"{count / 1e6:.0f}", f"{count / counts[-1]:.0%}"))


def _print_row(name: str, cells: Iterable[str]) -> None:
    print(f"| {' | '.join((name, *cells))} |")


def _shown(number: int, total: int) -> str:
    return f"{number:,} ({number / total:.0%})" if number > 0 else ""


def _counted(family: str, work: str) -> tuple[Counts, Counts]:
    """Count a row in its own process: the additions of the code by hand, and of this library."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(count_row, family, work).result()


def count_row(family: str, work: str) -> tuple[Counts, Counts]:
    """Count the instructions for one piece of work, by the functions."""
    found: list[Counts] = []

    def count(case: Case) -> None:
        bare, hand, ours = map(_traced, (case.bare, case.hand, case.ours))
        for counts in hand, ours:
            counts.subtract(bare)
            found.append(Counter({name: counts[name] // _PIECES for name in counts}))

    harness.count, harness.LIMITS = count, {work: 0.0}
    measure(family, COUNTED)
    hand, ours = found
    return hand, ours


def _traced(contender: Contender | None) -> Counts:
    steps: Counts = Counter()

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as sys.settrace has it
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            steps[_name(frame)] += 1
        return trace

    if contender is not None:
        contender.run(_WARM)
        sys.settrace(trace)
        contender.run(_PIECES)
        sys.settrace(None)
    return steps


def _name(frame: FrameType) -> str:
    """Name a function by its file; code that a dataclass has made, and logging's, by its caller."""
    file, caller = frame.f_code.co_filename, frame.f_back
    if caller is not None and (file == "<string>" or "/logging/" in file):
        return _name(caller)
    return f"{file.rpartition(_PACKAGE)[2]}:{frame.f_code.co_name}"


def _by_part(counts: Counts) -> Counts:
    parts: Counts = Counter()
    for name, number in counts.items():
        parts[next(part for part, begins in _PARTS.items() if name.startswith(begins))] += number
    return parts


def _instructions(code: str) -> int:
    """Return the instructions of a new interpreter that runs some code, its exit included.

    The first run writes byte code, as an installation does.
    """
    command = (sys.executable, "-c", code)
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own code
    counted = subprocess.run(  # noqa: S603 - as above
        (
            shutil.which("valgrind") or "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            *command,
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(counted.stderr.partition("Collected :")[2].split()[0])


if __name__ == "__main__":
    main()
