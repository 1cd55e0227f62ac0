"""The contents of a framework's own settings file, for the whole process."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Profile(NamedTuple):
    """The fields of `Settings` that the file sets."""

    values: Mapping[str, object] = MappingProxyType({})  # they win over the environment
    defaults: Mapping[str, object] = MappingProxyType({})  # for fields that are set nowhere else


NONE = Profile()
_profile = NONE


def use(profile: Profile) -> None:
    """Read settings with this profile from now on; it replaces an earlier one."""
    global _profile  # noqa: PLW0603 - a process has one framework with a settings file
    _profile = profile


def current() -> Profile:
    """Return the profile that is in use."""
    return _profile


def reset() -> None:
    """Forget the profile (used by `pantheon_obs.testing.reset`)."""
    use(NONE)
