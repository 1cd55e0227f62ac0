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

    `of_sdk` says that a client of an SDK is called. Its host tells who sells the model, if anybody
    known does; else the model's name may tell it.
    """

    operation: str
    provider: str | None
    usage: Callable[[Any], object] | None
    pricing: Pricing | None
    of_sdk: bool = False
