"""End the demo with the story of its failed request, and the page of a report."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo_checks import SERVER_ERROR
from examples.demo_table import BOLD, WIDTH, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.demo_checks import Tour


def tell(tours: Sequence[Tour]) -> list[str]:
    """Keep the log files of the demo, and tell the story of a request that failed in it.

    Returns:
        The problems, one sentence each.
    """
    exchanges = [exchange for tour in tours for exchange in tour.exchanges]
    failed = [found for found in exchanges if found.status >= SERVER_ERROR and found.trace_ids]
    if not failed:
        return ["no response of a failed request has an id"]
    # If possible one that has called a model.
    shown = max(failed, key=lambda exchange: bool(exchange.call.llm_outcomes))
    folder = Path(tempfile.mkdtemp(prefix="pantheon-obs-demo-"))
    for number, tour in enumerate(tours, 1):
        lines = [*tour.lines, *tour.worker_lines]
        (folder / f"service-{number}.log").write_text("".join(f"{line}\n" for line in lines))
    page = folder / "report.html"
    return [
        *_run("story", shown.trace_ids[0], str(folder)),
        *_run("report", str(folder), "--html", str(page)),
    ]


def _run(*command: str) -> list[str]:
    """Show a command and its output; return its problem, if it has one."""
    said = f"pantheon-obs {' '.join(command)}"
    say(said if len(said) <= WIDTH else said.replace(" --", " \\\n  --"), BOLD)
    told = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pantheon_obs", *command],
        env={**os.environ, "COLUMNS": str(WIDTH)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    for row in told.stdout.splitlines():
        say(row if len(row) <= WIDTH else f"{row[: WIDTH - 1]}…")
    say("")
    return [f"pantheon-obs {command[0]}: {told.stderr.strip()}"] if told.returncode else []
