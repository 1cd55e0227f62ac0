"""The settings in force that parts without a set-up of their own need: they ask when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT = (
    "service",
    "environment",
    "llm_attribution",
    "baggage_fields",
    "trace_linger_s",
    "measure_time",
    "metrics_path",
)
_in_force: dict[str, Any] = {}


def put_in_force(settings: Settings) -> None:
    """Keep the settings of a set-up; a later set-up without arguments changes nothing."""
    for name in _KEPT:
        if name in settings.given or name not in _in_force:
            _in_force[name] = getattr(settings, name)


def in_force(name: str) -> Any:  # noqa: ANN401 - a field of any type
    """Return a field of the settings of the last set-up, before the first of the environment."""
    if not _in_force:
        put_in_force(Settings.from_env())
    return _in_force[name]


def attributed(bound: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bound fields that `llm_attribution` names."""
    return {name: bound[name] for name in in_force("llm_attribution") if name in bound}


def reset() -> None:
    """Forget the settings (used by `pantheon_obs.testing.reset`)."""
    _in_force.clear()
