"""The options of an observed function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.prices import Pricing


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The options that all calls of one function share; `operation` names the event.

    `by_name` says that the model's name tells who sells it, if nothing else does.
    """

    operation: str
    provider: str | None
    usage: Callable[[Any], object] | None
    pricing: Pricing | None
    by_name: bool = True
