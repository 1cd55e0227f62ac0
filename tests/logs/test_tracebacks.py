"""Tracebacks that are written in the middle of other code."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs import configure_logging
from pantheon_obs.core import pipeline
from pantheon_obs.core.events import BackgroundFailed
from tests.support.lines import parse_line
from tests.support.server import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

SOURCE = "\n".join(f"x{number} = [({number} + 1) * (2, (3, (4,)))]" for number in range(2000))


def fail(cause: Exception) -> None:
    """Raise an exception with a cause."""
    raise ZeroDivisionError from cause


def parse_with_collections(log: Callable[[], None]) -> ast.AST:
    """Parse a source, and log at each garbage collection meanwhile."""
    logging_now = False

    def collected(phase: str, _: Any) -> None:
        nonlocal logging_now
        if phase == "start" and not logging_now:
            logging_now = True
            log()
            logging_now = False

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(100)
    try:
        return ast.parse(SOURCE)
    finally:
        gc.callbacks.remove(collected)
        gc.set_threshold(*before)


def test_a_traceback_that_a_finalizer_writes_spoils_no_parse(
    capfdbinary: pytest.CaptureFixture[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """The collector ends an abandoned response wherever it runs, also while code is parsed."""
    configure_logging(log_format="json")
    group = ExceptionGroup("several", [KeyError(1), IndexError(2)])

    def log() -> None:
        try:
            fail(group)
        except ZeroDivisionError as error:
            pipeline.emit(BackgroundFailed(trace_id="t", bound={}, error=error))

    parsed = parse_with_collections(log)

    assert ast.dump(ast.parse(SOURCE)) == ast.dump(parsed)
    lines = [parse_line(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert lines
    for text in [*(line["exception"] for line in lines if "exception" in line), caplog.text]:
        for part in ("several", "KeyError: 1", "IndexError: 2", "raise ZeroDivisionError"):
            assert part in text


def test_a_traceback_is_written_where_nothing_has_parsed_yet() -> None:
    """Then no code of that module can be running."""
    script = """
import sys
from pantheon_obs.sinks.logs.tracebacks import spoils_a_parse
sys.modules.pop("ast", None)
assert not spoils_a_parse()
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
