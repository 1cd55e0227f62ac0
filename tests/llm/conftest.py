"""See the facts themselves: a sink that keeps every finished LLM call."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from pantheon_obs.core import guard, pipeline
from tests.llm.sink import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished


@pytest.fixture
def events() -> Iterator[list[LlmCallFinished]]:
    """The LLM calls that have ended; a failure of ours that the guard swallowed fails the test.

    A test that expects one says so with `guard.forget()`.
    """
    kept = Kept()
    pipeline.add_sink(kept)
    gc.freeze()  # a collection need not look at what was there before
    yield kept.calls
    gc.collect()  # what is still open ends here, before the next test
    gc.unfreeze()
    pipeline.remove_sink(kept.name)
    assert frozenset() == guard.reported()
