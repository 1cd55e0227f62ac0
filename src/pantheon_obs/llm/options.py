"""The options of an observed function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.methods import Sdk
    from pantheon_obs.llm.prices import Pricing


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The options that all calls of one function share; `operation` names the event.

    With an `sdk` a client of it is called, whose host tells who sells the model, if anybody known
    does; else the model's name may tell it. With a `method`, its path, each call is asked for the
    host: the application has named no provider.
    """

    operation: str
    provider: str | None
    usage: Callable[[Any], object] | None
    pricing: Pricing | None
    sdk: Sdk | None = None
    method: str | None = None
