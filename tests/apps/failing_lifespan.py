"""An application whose start-up or shutdown fails: `FAILS` names the phase and the exception.

It is not the sample application: that one could fail in one way only, and a test makes many.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from pantheon_obs import instrument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PHASE, _, KIND = os.environ.get("FAILS", "").partition(" ")


def failure(kind: str) -> Exception:
    """Make an exception: with a text, without one, with notes, or a group."""
    error: Exception = ConnectionError("no database")
    if kind == "silent":
        error = ConnectionError()
    if kind == "noted":
        error.add_note("see the runbook")
    return ExceptionGroup("several", [error, KeyError("b")]) if kind == "group" else error


def failing(phase: str, kind: str) -> Any:
    """Make an instrumented application that fails in a phase of its lifespan."""

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        if phase == "startup":
            raise failure(kind)
        yield
        raise failure(kind)

    return instrument(Starlette(lifespan=lifespan), log_format="json")


if PHASE:
    app = failing(PHASE, KIND)
