"""The setting `llm`: observe the clients of every known SDK that is imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.instrument import instrumented
from pantheon_obs.llm.methods import SDKS

if TYPE_CHECKING:
    from pantheon_obs.llm.instrumentation import LlmInstrumentation

_guard = Guard("instrument_llm")
_done: dict[str, LlmInstrumentation] = {}


def instrument_imported() -> None:
    """Instrument each SDK that is imported by now, once. One that cannot be is left alone."""
    for sdk in SDKS:
        module: Any = sys.modules.get(sdk.package)
        if module is None or sdk.package in _done or _is_being_imported(module):
            continue
        with _guard:
            _done[sdk.package] = instrumented(module, automatic=True)


def reset() -> None:
    """Undo it (used by `pantheon_obs.testing.reset`)."""
    while _done:
        _done.popitem()[1].undo()


def _is_being_imported(module: Any) -> bool:
    """Whether another thread imports the module now: it has not all its classes yet."""
    return getattr(module.__spec__, "_initializing", False) is True
