"""LLM calls as events: timed, counted, and reported exactly once on every way of ending.

See `llm_call` for functions of the application, and `instrument_llm` for clients and gateways.
"""

from __future__ import annotations

from pantheon_obs.llm.call import llm_call
from pantheon_obs.llm.instrument import instrument_llm

__all__ = ["instrument_llm", "llm_call"]
