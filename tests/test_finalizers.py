"""The garbage collector may end a response or a call at any moment, without any harm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.finalizers import KINDS


@pytest.mark.parametrize("kind", [*KINDS, "django", "django_stream"])
def test_dropped_work_is_ended_while_context_variables_are_set(kind: str) -> None:
    """On Python 3.11 a finalizer that sets a context variable would crash the process."""
    if kind.startswith("django"):
        pytest.importorskip("django")
    program = subprocess.run(
        [sys.executable, "-m", "tests.support.finalizers", kind],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    events = {json.loads(line)["event"] for line in program.stdout.splitlines()}
    events.discard("observability_configured")  # of the first request
    if kind == "generator_over_budget":
        events.remove("llm_budget_exceeded")
    llm = kind in (
        "generator",
        "generator_over_budget",
        "async_generator",
        "stream_object",
        "awaited_call",
    )
    assert (0, "") == (program.returncode, program.stderr)
    assert ({"llm.dropped"} if llm else {"request_finished"}) == events
