"""Run the demo on one machine, without an API key: `python -m examples.demo`.

An argument selects one part: `python -m examples.demo django`. The demo starts the local provider
and the chat services as processes of their own, and sends them various requests. It prints a table
of what happened, shows the log lines of some requests, and checks all responses and log lines
against each other. It ends with the story of a request that failed. The exit status is 0 if all
checks pass.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys

from examples import demo_django, demo_fastapi
from examples.demo_story import tell
from examples.demo_table import GREEN, RED, YELLOW, say

PARTS = {"fastapi": demo_fastapi, "django": demo_django}


def _stop(_signal: int, _frame: object) -> None:
    sys.exit(1)  # raises SystemExit, so that the servers are stopped


def main() -> int:
    """Run the demo; print a table for each service, the problems and the parts left out."""
    signal.signal(signal.SIGTERM, _stop)
    parser = argparse.ArgumentParser(prog="python -m examples.demo")
    parser.add_argument("part", nargs="?", choices=PARTS, help="default: all parts")
    chosen = parser.parse_args().part
    tours, problems = [], []
    for part in [PARTS[chosen]] if chosen else PARTS.values():
        try:
            tour = part.run()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            say(f"\nFAILED: the demo of {part.TITLE} {error}", RED)
            return 1
        say("")
        tours.append(tour)
        problems += [f"{part.TITLE}: {problem}" for problem in part.problems_of(tour)]

    problems += tell(tours)
    for missing in (missing for tour in tours for missing in tour.left_out):
        say(f"LEFT OUT: {missing}", YELLOW)
    for problem in problems:
        say(f"WRONG: {problem}", RED)
    if not problems:
        requests = sum(len(tour.exchanges) for tour in tours)
        lines = sum(
            len(tour.lines) + len(tour.job_lines) + len(tour.worker_lines) for tour in tours
        )
        say(f"All checks passed: {requests} requests, {lines} lines, each checked.", GREEN)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
