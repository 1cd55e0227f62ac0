"""Fixtures of all LLM tests: the events themselves, a provider, an event loop."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.core import guard, pipeline
from tests.llm.provider import provider
from tests.llm.sink import Kept
from tests.support.lines import validate_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished


def line_of(event: LlmCallFinished) -> dict[str, Any]:
    """The event as the line that the schema describes."""
    head = {
        "timestamp": "2026-11-21T00:00:00.000000Z",
        "level": logging.getLevelName(event.level).lower(),
        "event": event.event,
        "logger": event.logger,
    }
    trace = {"trace_id": event.trace_id} if event.trace_id else {}
    return head | trace | event.fields() | event.bound


@pytest.fixture
def events() -> Iterator[list[LlmCallFinished]]:
    """The LLM calls that have ended; each must fit the schema of its line.

    A failure of ours that the guard swallowed fails the test; a test that expects one says so with
    `guard.forget()`.
    """
    kept = Kept()
    pipeline.add_sink(kept)
    gc.freeze()  # a collection need not look at what was there before
    yield kept.calls
    gc.collect()  # what is still open ends here, before the next test
    gc.unfreeze()
    pipeline.remove_sink(kept.name)
    for event in kept.calls:
        validate_line(line_of(event))
    assert frozenset() == guard.reported()


@pytest.fixture(scope="session")
def provider_url() -> Iterator[str]:
    """The address of a local provider that speaks for all vendors."""
    with provider() as base:
        yield base


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """An event loop for the async clients of a module."""
    with asyncio.Runner() as runner:
        yield runner
