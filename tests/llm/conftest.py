"""Fixtures of all LLM tests: the events themselves, a provider, an event loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.core import guard, pipeline
from pantheon_obs.llm.cost.price_list_loader import loader
from tests.llm.provider import provider
from tests.llm.sdk import clients_of
from tests.llm.sink import Kept
from tests.support.garbage import collect_garbage
from tests.support.lines import validate_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished


def line_of(event: LlmCallFinished) -> dict[str, Any]:
    """Return the event as the line that the schema describes."""
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
    """Capture the LLM calls that have ended; each must fit the schema of its line.

    A failure of ours that the guard swallowed fails the test; a test that expects one says so with
    `guard.forget()`.
    """
    kept = Kept()
    pipeline.add_sink(kept)
    gc.freeze()  # a collection need not look at what was there before
    yield kept.calls
    collect_garbage()  # what is still open ends here, before the next test
    pipeline.remove_sink(kept.name)
    for event in kept.calls:
        validate_line(line_of(event))
    assert frozenset() == guard.reported()


@pytest.fixture(scope="session")
def provider_url() -> Iterator[str]:
    """Return the URL of a local provider that serves the interfaces of all vendors."""
    with provider() as base:
        yield base


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """Make an event loop for the async clients of a module."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def clients(provider_url: str, loop: asyncio.Runner) -> Iterator[Callable[..., Any]]:
    """Return a function that returns the client of an SDK: one for the module."""
    with clients_of(provider_url, loop) as client_of:
        yield client_of


@pytest.fixture
def unloaded() -> Iterator[None]:
    """Forget the price list, as in a new process; afterwards, too."""
    loader.wait()
    loader.__init__()  # type: ignore[misc]
    yield
    loader.wait()
    loader.__init__()  # type: ignore[misc]


@pytest.fixture
def genai(unloaded: None) -> Any:
    """Return genai-prices, imported by the application, so that the first call has prices."""
    pytest.importorskip("genai_prices.data")
    return sys.modules["genai_prices"]
