"""A tour on one machine, without a key: `python -m examples.demo`, or of one part by its name.

It starts the local provider and the chat services as processes of their own, sends them a mix of
requests, shows each line that the services print, and checks responses and lines against each
other. The exit status is 0 if all was as it should be.
"""

from __future__ import annotations

import argparse
import signal
import sys

from examples import demo_django, demo_fastapi
from examples.demo_checks import table
from examples.demo_client import say

PARTS = {"fastapi": demo_fastapi, "django": demo_django}


def _stop(_signal: int, _frame: object) -> None:
    sys.exit(1)  # an exception: the servers are stopped on its way out


def main() -> int:
    """Run the tour, print a table for each service, what is wrong and what was left out."""
    signal.signal(signal.SIGTERM, _stop)
    parser = argparse.ArgumentParser(prog="python -m examples.demo")
    parser.add_argument("part", nargs="?", choices=PARTS, help="all parts if none is named")
    chosen = parser.parse_args().part
    tours, problems = [], []
    for part in [PARTS[chosen]] if chosen else PARTS.values():
        say(f"\n=== {part.TITLE} ===")
        tour = part.run()
        say(f"\n{table(tour.exchanges, tour.lines)}")
        tours.append(tour)
        problems += [f"{part.TITLE}: {problem}" for problem in part.problems_of(tour)]

    say("")
    for missing in (missing for tour in tours for missing in tour.left_out):
        say(f"LEFT OUT: {missing}")
    for problem in problems:
        say(f"WRONG: {problem}")
    if not problems:
        requests = sum(len(tour.exchanges) for tour in tours)
        lines = sum(
            len(tour.lines) + len(tour.job_lines) + len(tour.worker_lines) for tour in tours
        )
        say(f"All as it should be: {requests} requests, {lines} lines, each checked.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
