"""The settings in force that parts without a set-up of their own need: they ask when they run."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

from pantheon_obs.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    if "id_generator" in settings.given:
        _in_force["id_generator"] = _weakly(settings.id_generator)


def generator_in_force() -> Callable[[], object] | None:
    """Return the `id_generator` of the last set-up that had one, as long as others refer to it."""
    generator: Callable[[], object] | None = _in_force.get("id_generator", type(None))()
    return generator


def _weakly(generator: Any) -> Callable[[], Any]:  # noqa: ANN401 - any callable, or None
    """Refer to a generator without keeping its application, to which it may refer."""
    try:
        return (WeakMethod if type(generator) is MethodType else ref)(generator)
    except TypeError:  # None, and an object of a class with slots
        return lambda: generator


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
